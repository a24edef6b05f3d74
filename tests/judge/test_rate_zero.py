"""Rate 0 beside the contract's scale: the input bit for bit, or times the number that the contract names."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import CHECKS, rate_zero
from dropcheck.judge.checks.base import Limits

ZERO = next(c for c in CHECKS if c.name == "rate.zero")


def verdict(monkeypatch: pytest.MonkeyPatch, scale: Any, layer: Callable[[Any], Any], dtype: str = "float32") -> Any:
    """What rate.zero says of a layer that gives this output at rate 0."""

    class Fixed:
        def __init__(self, *_: Any) -> None: ...

        def call(self, x: Any, times: int = 1) -> Any:
            y = layer(np.asarray(x, dtype))
            return SimpleNamespace(raw=[y] * times, dtype=str(y.dtype), shape=y.shape, same_object=False)

    monkeypatch.setattr(rate_zero, "Layer", Fixed)
    contract = Contract(Pattern.parse("n c l -> n c"), scale=scale)
    bench = SimpleNamespace(info={}, contract=contract, dtypes=(dtype,), profile="quick", traits={}, resolution=None)
    (found,) = rate_zero._zero(ZERO, bench, Limits(0.0, 1e-6, 2**-8))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_scale_that_is_a_number_holds_at_rate_0_to_the_rounding_of_the_dtype(
    monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    in_dtype = verdict(monkeypatch, 0.3, lambda x: x * x.dtype.type(0.3), dtype)
    assert in_dtype.verdict == "pass" and "times 0.3" in in_dtype.message
    assert verdict(monkeypatch, 0.3, lambda x: x.copy(), dtype).verdict == "fail", "not what the contract says"
    assert verdict(monkeypatch, 0.3, lambda x: x * x.dtype.type(0.31), dtype).verdict == "fail"


@pytest.mark.parametrize("scale", ["inverted", "none"])
def test_without_a_number_rate_0_returns_the_input_bit_for_bit(monkeypatch: pytest.MonkeyPatch, scale: str) -> None:
    assert verdict(monkeypatch, scale, lambda x: x.copy()).verdict == "pass"
    assert verdict(monkeypatch, scale, lambda x: np.nextafter(x, x.dtype.type(9))).verdict == "fail"


def test_another_shape_is_inconclusive_and_names_the_check_that_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdict(monkeypatch, "inverted", lambda x: x[:, :1])
    assert found.verdict == "inconclusive" and "form.shape-dtype" in found.message
