"""A copy of a layer with one coin a call, or a sample, is judged by as many coins as tell its rate."""

from __future__ import annotations

import numpy as np
import pytest

import dropcheck
from dropcheck import Implementation


class OneCoin:
    """One coin a call, or one a sample."""

    def __init__(self, rate: float, rows: bool) -> None:
        self.rate, self.rows = rate, rows

    def __call__(self, x, *, training, rng):  # type: ignore[no-untyped-def]
        if not training:
            return x
        size = (len(x), 1, 1) if self.rows else (1, 1, 1)
        return (x * (rng.random(size) >= self.rate) / np.asarray(1 - self.rate, x.dtype)).astype(x.dtype)


@pytest.mark.parametrize(
    "pattern, rows, seed", [("n c l -> 1", False, 0), ("n c l -> 1", False, 2), ("n c l -> n", True, 0)]
)
def test_a_right_layer_passes(pattern: str, rows: bool, seed: int) -> None:
    made = Implementation(make=OneCoin, contract=pattern, framework="numpy", options={"rows": rows})
    result = dropcheck.audit(made, select="form.copies", dtypes="float32", seed=seed, causes=False)
    assert [one.message for one in result.targets[0].findings if one.verdict == "fail"] == []
