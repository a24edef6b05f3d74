"""What the worker is made of: the wire, rounding bit by bit, and the proof that every element agrees with its coin."""

from __future__ import annotations

import gc
import math
import weakref
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.worker.server import coinwise, rounding, wire
from dropcheck.worker.server import probe as probes
from dropcheck.worker.server import proof as proof_of
from spatial_dropouts.adapters import adapter_for


def test_the_wire_keeps_data_and_arrays() -> None:
    message = {
        "a": 1,
        "b": [1.5, None, "x", {"y": np.arange(6, dtype=np.uint16).reshape(2, 3)}],
        "c": np.zeros((0, 4)),
        "d": np.float32(2.5),
        "e": np.array(True),
        "f": {"g": np.asfortranarray(np.arange(6.0).reshape(2, 3))},
    }
    back = wire.decode(wire.encode(message))
    assert back["a"] == 1
    assert back["b"][:3] == [1.5, None, "x"]
    np.testing.assert_array_equal(back["b"][3]["y"], message["b"][3]["y"])
    assert back["b"][3]["y"].dtype == np.uint16
    assert back["c"].shape == (0, 4)
    assert back["d"] == 2.5
    assert back["e"].shape == ()
    np.testing.assert_array_equal(back["f"]["g"], message["f"]["g"])


def test_what_went_through_the_wire_is_freed_without_the_collector() -> None:
    """A cycle that holds the arrays would keep every answer of an audit until the collector comes by: 20 MB of them."""
    sent = np.arange(6)
    alive = weakref.ref(sent)
    gc.disable()
    try:
        message = {"coins": [sent]}
        data = wire.encode(message)
        del message, sent
        assert alive() is None
        got = wire.decode(data)["coins"][0]
        alive = weakref.ref(got)
        del got
        assert alive() is None
    finally:
        gc.enable()


@given(st.floats(-1e30, 1e30, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-37))
def test_bfloat16_rounds_as_ml_dtypes_does_in_one_step(value: float) -> None:
    expected = np.array(value).astype(np.float64)
    found = rounding.to_float64(rounding.to_dtype(np.array([value]), "bfloat16"), "bfloat16")[0]
    # ml_dtypes goes through float32; where that rounds first, only the direct result is nearest
    near = [float(np.nextafter(ml_dtypes.bfloat16(value), ml_dtypes.bfloat16(s * np.inf))) for s in (1, -1)]
    assert abs(found - float(expected)) <= min(
        abs(n - float(expected)) for n in [*near, float(ml_dtypes.bfloat16(value))]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_probe_values_are_what_statistics_needs(dtype: str) -> None:
    values = rounding.pool(dtype, 251, 11)
    assert rounding.same_bits(rounding.to_dtype(values, dtype), rounding.to_dtype(values, dtype), dtype)
    np.testing.assert_array_equal(rounding.to_float64(rounding.to_dtype(values, dtype), dtype), values)
    assert len(set(values)) == 251
    assert (values > 0).any() and (values < 0).any()
    mantissa, _ = np.frexp(np.abs(values))
    assert not np.any(mantissa == 0.5), "powers of two hide a wrong factor"


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("rate", [0.001, 0.1, 0.15, 0.3, 0.9])
def test_every_order_of_roundings_lies_within_the_bound(dtype: str, rate: float) -> None:
    native = {"float32": np.float32, "float16": np.float16, "float64": np.float64}[dtype]
    x = rounding.pool(dtype, 5000, 3)
    low, high = rounding.bounds(x, rate, "inverted", dtype)
    keep = native(1) - native(rate)
    recipes = [
        x.astype(native) / keep,
        x.astype(native) * (native(1) / keep),
        x.astype(native) * native(1 / (1 - rate)),
        (x.astype(native) / native(1 - rate)),
    ]
    for y in recipes:
        wide = y.astype(np.float64)
        assert np.all((wide >= low) & (wide <= high))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("rate", [0.001, 0.15, 0.3, 0.9])
def test_the_bound_is_the_textbook_one_and_no_more(dtype: str, rate: float) -> None:
    u = Fraction(1, 2 ** rounding.PRECISION[dtype])
    first_order = u * (3 + Fraction(rate) / (1 - Fraction(rate)))
    bound = rounding.relative_bound(rate, "inverted", dtype)
    assert first_order < bound < first_order * (1 + 12 * u / (1 - Fraction(rate)))
    x = rounding.pool(dtype, 200, 3)
    low, high = rounding.bounds(x, rate, "inverted", dtype)
    for value, a, b in zip(x.tolist(), low.tolist(), high.tolist(), strict=True):
        right = Fraction(value) / (1 - Fraction(rate))
        slack = abs(right) * bound
        assert Fraction(a) <= right - slack and right + slack <= Fraction(b)
        beyond = abs(right) * (bound * (1 + Fraction(1, 10**6)) + Fraction(1, 2**45))
        assert Fraction(a) >= right - beyond and Fraction(b) <= right + beyond


def test_errors_of_float64_are_measured_against_fractions() -> None:
    x = rounding.pool("float64", 50, 3)
    y = x * (1 / (1 - 0.1))
    errors = rounding.relative_errors(x, y, 0.1, "inverted", "float64")
    assert 0 < np.abs(errors).max() < 4 * 2.0**-53


# --- the proof ------------------------------------------------------------------------------------------------------


def adapter(pattern: str, dropped: float = 0.0) -> Any:
    contract = Contract(Pattern.parse(pattern), dropped=dropped, seeds=("generator",))

    def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        return x

    return adapter_for(layer, Implementation(make=layer, framework="numpy", contract=contract))


PATTERNS = ["n c l -> n c", "n l c -> n c", "n c l -> n", "n c l -> c", "t b h -> b h", "n c l -> n c l"]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("shared", [2, 3, 4, 8, 11])
def test_the_proof_sees_every_element(pattern: str, shared: int) -> None:
    """Right outputs give their coins; one element changed anywhere is one violation or one wrong value."""
    driver = adapter(pattern)
    shape = driver.contract.pattern.shape(6, 10, shared)
    probe = probes.make_probe(driver, driver.contract.pattern, shape, "float32", "contiguous", 0.3, 1)
    rng = np.random.default_rng(5)
    axes, coin_axes = driver.contract.pattern.axes, driver.contract.pattern.coins
    mask = rng.random([s if a in coin_axes else 1 for a, s in zip(axes, shape, strict=True)]) < 0.3
    x = np.asarray(driver.array(probe.x))
    y = np.where(mask, np.float32(0), (x / np.float32(0.7)).astype(np.float32))
    proof = proof_of.Proof()
    coins = proof_of.prove(driver, probe, y, proof)
    assert (proof.violations, proof.wrong_values, proof.malformed) == (0, 0, None)
    rows, channels = driver.contract.pattern.matrix_shape(shape)
    order = [axes.index(a) for a in coin_axes + driver.contract.pattern.shared]
    expected = np.broadcast_to(mask, shape).transpose(order).reshape(rows, channels, -1)[:, :, 0]
    np.testing.assert_array_equal(np.unpackbits(coins, axis=-1, count=channels, bitorder="little"), expected)
    for place in rng.integers(0, y.size, 40):
        bad = y.copy()
        torn = bad.reshape(-1)
        torn[place] = 0 if torn[place] else x.reshape(-1)[place] / np.float32(0.7)
        again = proof_of.Proof()
        proof_of.prove(driver, probe, bad, again)
        assert again.violations == (0 if pattern == "n c l -> n c l" else 1), place
        scaled = y.copy()
        flat = scaled.reshape(-1)
        kept = flat[place] != 0
        flat[place] *= 1 + 1e-5
        again = proof_of.Proof()
        proof_of.prove(driver, probe, scaled, again)
        assert again.wrong_values == int(kept)


@pytest.mark.parametrize("pattern, shared, dtype", [
    ("n c l -> n c", 4, "float32"),
    ("n c l -> n c", 3, "float32"),
    ("n c l -> n c", 8, "float16"),
    ("n c l -> n c", 2, "float64"),
    ("n l c -> n c", 4, "float32"),
    ("n c l -> n c l", 1, "float32"),
])  # fmt: skip
def test_the_proof_of_long_outputs_sees_every_element(pattern: str, shared: int, dtype: str) -> None:
    """Compared round by round: an element changed at the edge of a round, in the rest behind the last one, or in any call."""
    driver = adapter(pattern)
    shape = driver.contract.pattern.shape(1409, 65, shared)
    probe = probes.make_probe(driver, driver.contract.pattern, shape, dtype, "contiguous", 0.5, 1)
    rng = np.random.default_rng(5)
    axes, coin_axes = driver.contract.pattern.axes, driver.contract.pattern.coins
    mask = rng.random([2, *(s if a in coin_axes else 1 for a, s in zip(axes, shape, strict=True))]) < 0.5
    x = np.asarray(driver.array(probe.x))
    y = x[None] * np.asarray(2, dtype) * ~mask  # a layer that multiplies: what is dropped has its sign
    proof = proof_of.Proof()
    first = proof_of.prove_block(probe, y, proof)
    assert probe.patterns is not None and len(probe.patterns[0]) == probes.ROUND < y[0].size * y.itemsize // 8
    np.testing.assert_array_equal(proof_of.prove_block(probe, y, proof), first)
    assert (proof.violations, proof.wrong_values) == (0, 0)
    a_round = probes.ROUND * max(1, probe.patterns[0].itemsize // y.itemsize)
    edges = [n * a_round + d for n in (0, 1, 2) for d in (-1, 0, 1)] + [y[0].size - 1, y[0].size, y.size - 1]
    for place in [e for e in edges if 0 <= e < y.size] + rng.integers(0, y.size, 20).tolist():
        flips, shifted = y.copy(), y.copy()
        flips.reshape(-1)[place] = 0 if flips.reshape(-1)[place] else 2 * x.reshape(-1)[place % x.size]
        shifted.reshape(-1)[place] *= np.asarray(1.01, dtype)
        again = proof_of.Proof()
        proof_of.prove_block(probe, flips, again)
        assert (again.violations, again.wrong_values) == (int(shared > 1), 0), place
        again = proof_of.Proof()
        proof_of.prove_block(probe, shifted, again)
        assert again.wrong_values == int(y.reshape(-1)[place] != 0), place


def test_nan_and_inf_are_wrong_values_not_errors() -> None:
    driver = adapter("n c l -> n c")
    probe = probes.make_probe(driver, driver.contract.pattern, (3, 5, 4), "float32", "contiguous", 0.3, 1)
    y = np.asarray(driver.array(probe.x)) / np.float32(0.7)
    y[0, 1] = np.nan
    y[2, 2, 1] = np.inf
    proof = proof_of.Proof()
    proof_of.prove(driver, probe, y, proof)
    assert (proof.wrong_values, proof.nonfinite) == (5, 5)


@pytest.mark.parametrize("wrong", ["shape", "dtype", "none"])
def test_another_shape_or_dtype_is_reported_once(wrong: str) -> None:
    driver = adapter("n c l -> n c")
    probe = probes.make_probe(driver, driver.contract.pattern, (3, 5, 4), "float32", "contiguous", 0.3, 1)
    y: Any = {"shape": np.zeros((3, 5), np.float32), "dtype": np.zeros((3, 5, 4)), "none": None}[wrong]
    proof = proof_of.Proof()
    assert proof_of.prove(driver, probe, y, proof) is None
    assert proof.malformed is not None


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("dropped", [-1.5, -1.7580993408473766, 3.0])
@pytest.mark.parametrize("rate", [0.001, 0.3, 0.9])
def test_no_kept_probe_value_looks_dropped(dtype: str, dropped: float, rate: float) -> None:
    promise = Contract(Pattern.parse("n c l -> n c"), dropped=dropped)
    gone = rounding.dropped_bounds(rate, dropped, dtype)
    values = probes.clear_pool(dtype, probes.POOL, 11, rate, promise)
    assert len(values) == probes.POOL
    for sign in (1, -1):
        for size in (1, 16):
            kept = rounding.to_dtype(sign * size * values / (1 - rate), dtype)
            assert not proof_of._dropped(kept, dtype, gone).any()


def test_packing_is_little_endian_with_empty_padding() -> None:
    coins = np.zeros((2, 11), bool)
    coins[0, 0] = coins[1, 10] = True
    np.testing.assert_array_equal(coinwise.pack(coins), [[1, 0], [0, 4]])
    assert math.prod(coinwise.pack(np.zeros((0, 11), bool)).shape) == 0
