"""Under vmap each sample has the mask of its own key: so with the default keys, and not with those of rbg."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation, Unsupported

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.workers("jax.numpy")


def _rows(mode: str) -> tuple[int, Any]:
    """How many of 8 samples have the mask of their own key, and the adapter."""
    from spatial_dropouts.adapters.jax_functions import JaxFunctions
    from spatial_dropouts.broken.jax_functions import right

    adapter = JaxFunctions(right, Implementation(make=right))
    with adapter.preserved():
        adapter.use(mode)
        x = adapter.tensor(np.ones((8, 64, 2)), "float32")
        one, other = (adapter.array(y) for y in adapter.own_keys(0.5, "float32", 3, "key", x))
    return int((one == other).all(axis=(1, 2)).sum()), adapter


@pytest.mark.parametrize("mode, rows", [("vmap", 8), ("vmap-rbg", 1), ("vmap-unsafe-rbg", 1)])
def test_only_default_keys_are_followed_sample_by_sample(mode: str, rows: int) -> None:
    """Keys of rbg: jax-ml/jax#20094. The first sample has the first key."""
    before = jax.config.jax_default_prng_impl
    assert _rows(mode)[0] == rows
    assert jax.config.jax_default_prng_impl == before


def test_outside_of_a_map_samples_have_no_keys() -> None:
    with pytest.raises(Unsupported, match="under vmap only"):
        _rows("jit")


def test_the_audit_fails_samples_that_ignore_their_keys() -> None:
    (target,) = dropcheck.audit(
        "custom.jax@vmap-rbg", select="seed.reproducible", dtypes="float32", jobs=1, causes=False
    ).targets
    (found,) = [one for one in target.findings if "own keys" in one.case]
    assert found.verdict == "fail" and "1 of 16 samples have the mask that their own key draws" in found.message
    assert {one.verdict for one in target.findings if one is not found} == {"pass"}
