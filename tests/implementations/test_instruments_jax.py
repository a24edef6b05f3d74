"""Instruments of JAX' libraries show the masks of attention weights exactly; planted defects are caught by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation, Unsupported
from dropcheck.contract.promise import Contract, Pattern

pytest.importorskip("flax")
pytest.importorskip("equinox")

from kits import planted_flax as planted

import spatial_dropouts
from spatial_dropouts.adapters import adapter_for, load
from spatial_dropouts.instruments import jax_register

CHEAP = ("mask.distinct-samples", "mask.distinct-calls", "scale.kept-values", "rate.one")


@pytest.mark.parametrize(
    ("layer", "check"),
    [
        (planted.Right, None),
        (planted.OneMaskForAllHeads, "mask.distinct-samples"),
        (planted.OneMaskForTheBatch, "mask.distinct-samples"),
        (planted.NotRescaled, "scale.kept-values"),
        (planted.IgnoresRateOne, "rate.one"),
        (planted.DroppedInInference, "mode.inference"),
    ],
)
def test_planted_attention(layer: type[Any], check: str | None) -> None:
    """Compiling is what costs: each is asked the check that names it and one more, the right twin the cheap ones."""
    assert failing(layer, (check, "mask.distinct-calls") if check else CHEAP) == ({check} if check else set())


def failing(layer: type[Any], checks: tuple[str, ...]) -> set[str]:
    """Checks that fail, and none that raises."""
    one = Implementation(
        make=layer,
        adapter="spatial_dropouts.instruments.flax_linen:LinenInstrument",
        framework="flax-linen",
        contract=Contract(pattern=Pattern.parse("n h=4 q k=16 -> n h q k"), seeds=("key",)),
    )
    result = dropcheck.audit(
        one,
        select=checks,
        cases=("float32 rate=0.5 64,16,1 calls=40",),
        modes=("jit",),
        dtypes=("float32",),
        in_process=True,
        jobs=1,
        causes=False,
    )
    findings = [f for t in result.targets for f in t.findings]
    assert findings and not [f for f in findings if f.verdict == "error"]
    return {f.check for f in findings if f.verdict == "fail"}


NAMES = sorted(jax_register.REGISTER)


@pytest.mark.parametrize(("name", "dtype"), [*((name, "float32") for name in NAMES), (NAMES[0], "bfloat16")])
def test_instruments_are_exact(name: str, dtype: str) -> None:
    """Forward pass: 0 or the rounded scale; backward pass: the incoming gradient times the same."""
    entry = spatial_dropouts.REGISTER[name]
    adapter = adapter_for(load(str(entry.make)), entry)
    adapter.use("jit")  # type: ignore[attr-defined]
    pattern = adapter.contract.pattern
    shape = pattern.shape(20, 16, 1)
    layer = adapter.make(0.5, dtype, 1, "key")
    x = adapter.tensor(np.ones(shape), dtype)

    def values(tensor: Any) -> Any:
        return np.asarray(tensor).astype(np.float64)

    y, gradient = adapter.gradient(layer, x, adapter.tensor(np.full(shape, 0.75), dtype))
    assert y.shape == shape and adapter.dtype_of(y) == dtype
    assert set(np.unique(values(y))) == {0.0, 2.0}
    assert np.array_equal(values(gradient), 0.75 * values(y))
    shared = tuple(place for place, axis in enumerate(pattern.axes) if axis not in pattern.coins)
    assert (np.ptp(values(y), axis=shared) == 0).all() if shared else True


def test_modes_that_are_withheld_are_refused_with_that_reason() -> None:
    for name in NAMES:
        entry = spatial_dropouts.REGISTER[name]
        for mode, reason in entry.withheld.items():
            adapter: Any = adapter_for(load(str(entry.make)), entry)
            with pytest.raises(Unsupported, match=reason):
                adapter.use(mode)
    assert spatial_dropouts.REGISTER["flax.linen.SelfAttention#weights"].withheld
