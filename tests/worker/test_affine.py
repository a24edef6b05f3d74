"""Contracts whose kept values are affine: exact coefficients, bounds that right layers keep and wrong ones do not."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropcheck.contract.adapter import Implementation, Unsupported
from dropcheck.contract.promise import Contract, ContractError, Pattern
from dropcheck.worker.server import affine, rounding
from dropcheck.worker.server import probe as probes
from dropcheck.worker.server import proof as proof_of
from spatial_dropouts.adapters import adapter_for

DTYPES = ("float32", "float64", "float16", "bfloat16")
RATES = (0.001, 0.1, 0.15, 0.3, 0.5, 0.9, 0.95)
PROMISE = Contract.alpha("n c l -> n c")
NATIVE: dict[str, Any] = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}


# --- the contract -----------------------------------------------------------------------------------------------------


def test_the_coefficients_keep_mean_and_variance_of_a_normal_unit() -> None:
    """The equations that define them: for x of mean 0 and variance 1, so has the output (independent of the formula)."""
    for rate in RATES:
        a, b, off = (Fraction(f) for f in (affine.factor(rate), affine.offset(rate), affine.ALPHA))
        r = Fraction(rate)
        mean = (1 - r) * b + r * (a * off + b)
        second = (1 - r) * (a**2 + b**2) + r * (a * off + b) ** 2
        assert abs(mean) < Fraction(1, 10**50)
        assert abs(second - 1) < Fraction(1, 10**50)
        assert abs(affine.dropped(rate) - (a * off + b)) < Fraction(1, 10**50)


def test_the_coefficients_agree_with_decimal_arithmetic() -> None:
    getcontext().prec = 60
    off = -Decimal("1.6732632423543772848170429916717") * Decimal("1.0507009873554804934193349852946")
    for rate in RATES:
        r = Decimal(rate)
        a = 1 / ((1 - r) * (1 + r * off**2)).sqrt()
        for exact, there in ((affine.factor(rate), a), (affine.offset(rate), -a * r * off)):
            assert abs(Decimal(exact.numerator) / Decimal(exact.denominator) - there) < Decimal(10) ** -54
        for shown, there in (
            (PROMISE.scale_at(rate), a),
            (PROMISE.offset_at(rate), -a * r * off),
            (PROMISE.dropped_at(rate), a * off - a * r * off),
        ):
            assert math.isclose(shown, float(there), rel_tol=1e-14)


def test_at_rate_one_the_dropped_value_is_its_limit_and_nothing_is_kept() -> None:
    assert PROMISE.dropped_at(1.0) == 0 and not PROMISE.keeps_at(1.0)
    assert rounding.dropped_bounds(1.0, "alpha", "float32") == (0.0, 0.0)
    assert abs(PROMISE.dropped_at(1 - 1e-12)) < 1e-5
    assert PROMISE.keeps_at(0.9) and PROMISE.scale_at(0.0) == 1 and PROMISE.offset_at(0.0) == 0


def test_an_affine_contract_survives_the_pipe_and_older_results_still_load() -> None:
    assert Contract.from_dict(PROMISE.to_dict()) == PROMISE
    old = Contract(Pattern.parse("n c l -> n c")).to_dict()
    del old["offset"]
    assert Contract.from_dict(old) == Contract(Pattern.parse("n c l -> n c"))


@pytest.mark.parametrize(
    ("field", "value", "near"),
    [
        ("scale", "alhpa", "'alpha'"),
        ("dropped", "zero", "'alpha'"),
        ("offset", "b", "'alpha'"),
        ("scale", "invert", "'inverted'"),
    ],
)
def test_a_misspelt_word_is_refused_with_the_nearest(field: str, value: str, near: str) -> None:
    with pytest.raises(ContractError, match=f"{field} is .*nearest is {near}"):
        Contract(Pattern.parse("n c l -> n c"), **{field: value})


@pytest.mark.parametrize("field", ["scale", "dropped", "offset"])
def test_a_coefficient_that_is_no_finite_number_is_refused(field: str) -> None:
    with pytest.raises(ContractError, match=f"{field} is .*a finite number, not nan"):
        Contract(Pattern.parse("n c l -> n c"), **{field: math.nan})


def test_what_a_kept_value_is_stands_in_words() -> None:
    plain = Contract(Pattern.parse("n c l -> n c"))
    assert (plain.kept_words(), plain.kept_words(0.1)) == ("x / (1 - rate)", "x times 1.11111")
    assert PROMISE.kept_words() == "a x + b"
    assert PROMISE.kept_words(0.3) == "x times 0.860953 plus 0.454092"


# --- bounds -----------------------------------------------------------------------------------------------------------


def recipes(x: Any, rate: float, dtype: str) -> dict[str, tuple[Any, Any]]:
    """(kept, dropped) of right layers that round in different places, computed by NumPy and ml_dtypes themselves."""
    kind = NATIVE[dtype]
    x = x.astype(kind)
    off = -1.7580993408473766
    wide_a = ((1 - rate) * (1 + rate * off**2)) ** -0.5
    one, r, alpha = kind(1), kind(rate), kind(off)
    a = one / np.sqrt((one - r) * (one + r * (alpha * alpha))).astype(kind)
    b = -(a * alpha * r)
    rounded_a, rounded_b = kind(wide_a), kind(-wide_a * rate * off)
    wide = x.astype(np.float64) * wide_a - wide_a * rate * off
    torch_off = (kind(-1) * kind(1) * kind(off * -1 * wide_a)).astype(kind)
    return {
        "all in the dtype": (a * x + b, a * alpha + b),
        "coefficients rounded": (rounded_a * x + rounded_b, rounded_a * alpha + rounded_b),
        "rounded once": (wide.astype(kind), np.float64(wide_a * off * (1 - rate)).astype(kind)),
        "fused": (
            (x.astype(np.float64) * np.float64(rounded_a) + np.float64(rounded_b)).astype(kind),
            (np.float64(torch_off) + np.float64(rounded_b)).astype(kind),
        ),
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", RATES)
def test_right_layers_lie_within_the_bounds_wherever_they_round(dtype: str, rate: float) -> None:
    x = rounding.pool(dtype, 3000, 3)
    low, high = rounding.bounds(x, rate, "alpha", dtype, "alpha")
    gone = rounding.dropped_bounds(rate, "alpha", dtype)
    for name, (kept, dropped) in recipes(x, rate, dtype).items():
        wide = np.asarray(kept, dtype=np.float64)
        assert ((wide >= low) & (wide <= high)).all(), name
        assert gone[0] <= float(dropped) <= gone[1], name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", (0.1, 0.15, 0.3, 0.5, 0.9))
def test_wrong_coefficients_lie_outside_the_bounds(dtype: str, rate: float) -> None:
    """b left out, no root, the alpha' of ELU, SELU's without its scale: most kept values, or the dropped one, show it."""
    x = rounding.pool(dtype, 1000, 3)
    low, high = rounding.bounds(x, rate, "alpha", dtype, "alpha")
    gone = rounding.dropped_bounds(rate, "alpha", dtype)
    right = float(affine.ALPHA)
    inside = ((1 - rate) * (1 + rate * right**2)) ** -0.5
    wrong = {
        "b left out": (inside, 0.0, right),
        "no root": (inside**2, -(inside**2) * rate * right, right),
        "alpha' of ELU": (*_of(-1.0, rate), -1.0),
        "plain dropout": (1 / (1 - rate), 0.0, 0.0),
    }
    for name, (a, b, off) in wrong.items():
        kept = rounding.to_float64(rounding.to_dtype(a * x + b, dtype), dtype)
        dropped = float(rounding.to_float64(rounding.to_dtype(np.array([a * off + b]), dtype), dtype)[0])
        outside = np.mean((kept < low) | (kept > high))
        assert outside > 0.2 or not gone[0] <= dropped <= gone[1], name


def _of(off: float, rate: float) -> tuple[float, float]:
    a = ((1 - rate) * (1 + rate * off**2)) ** -0.5
    return a, -a * rate * off


@settings(max_examples=200, deadline=None)
@given(st.floats(0.001, 0.97), st.sampled_from(DTYPES), st.integers(0, 250))
def test_the_bounds_enclose_the_exact_value_and_stay_near_it(rate: float, dtype: str, which: int) -> None:
    value = float(rounding.pool(dtype, 251, 3)[which])
    (low,), (high,) = rounding.bounds(np.array([value]), rate, "alpha", dtype, "alpha")
    a, b = affine.factor(rate), affine.offset(rate)
    right = a * Fraction(value) + b
    assert Fraction(low) < right < Fraction(high)
    # first order: of the formula for a no more than 8 roundings and rate / (1 - rate) of half of one, then 7 for b and the sum
    u = rounding.unit_roundoff(dtype)
    strain = u * rate / (1 - rate)
    near = (abs(float(a) * value) + abs(float(b))) * (16 * u + strain) * (1 + 8 * (strain + 8 * u))
    assert high - float(right) < near and float(right) - low < near


def test_bounds_of_float64_are_those_of_fractions() -> None:
    x = rounding.pool("float64", 100, 3)
    known = rounding.coefficients(0.3, "alpha", "alpha", "float64")
    assert known is not None
    (a, b), u = known, Fraction(1, 2**53)
    low, high = rounding.bounds(x, 0.3, "alpha", "float64", "alpha")
    for value, least, most in zip(x.tolist(), low.tolist(), high.tolist(), strict=True):
        product = affine.rounded(affine.product((Fraction(value), Fraction(value)), a), u)
        total = affine.rounded((product[0] + b[0], product[1] + b[1]), u)
        assert Fraction(least) <= total[0] <= Fraction(math.nextafter(math.nextafter(least, math.inf), math.inf))
        assert Fraction(most) >= total[1] >= Fraction(math.nextafter(math.nextafter(most, -math.inf), -math.inf))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_has_the_factor_alone(dtype: str) -> None:
    x = rounding.pool(dtype, 200, 3)
    low, high = rounding.bounds(x, 0.3, "alpha", dtype)
    right = x * float(affine.factor(0.3))
    assert ((low < right) & (right < high)).all()
    assert not ((low < x / 0.7) & (x / 0.7 < high)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_may_be_added_to_plain_dropout(dtype: str) -> None:
    x = rounding.pool(dtype, 200, 3)
    low, high = rounding.bounds(x, 0.3, "inverted", dtype, 0.75)
    y = rounding.to_float64(rounding.to_dtype(x / 0.7 + 0.75, dtype), dtype)
    assert ((low <= y) & (y <= high)).all()
    assert not ((low <= y - 0.75) & (y - 0.75 <= high)).any()


# --- the proof --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", (*RATES, 0.999))
def test_no_kept_probe_value_may_be_taken_for_a_dropped_one(dtype: str, rate: float) -> None:
    try:
        values = probes.clear_pool(dtype, probes.POOL, 11, rate, PROMISE)
    except Unsupported as reason:
        assert dtype == "bfloat16" and rate == 0.999 and "lower rate" in str(reason)
        return
    assert len(values) == probes.POOL and len(set(values.tolist())) >= probes.FEWEST
    least, most = rounding.dropped_bounds(rate, "alpha", dtype)
    for size in (1, -1, 16, -16):
        low, high = rounding.bounds(size * values, rate, "alpha", dtype, "alpha")
        assert ((low > most) | (high < least)).all()


def test_plain_dropout_has_the_probe_values_that_it_had() -> None:
    plain = Contract(Pattern.parse("n c l -> n c"))
    for dtype in DTYPES:
        np.testing.assert_array_equal(probes.clear_pool(dtype, 251, 11, 0.3, plain), rounding.pool(dtype, 251, 11))


def driver(pattern: str) -> Any:
    def layer(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
        return x

    contract = Contract.alpha(pattern, seeds=("generator",))
    return adapter_for(layer, Implementation(make=layer, framework="numpy", contract=contract))


@pytest.mark.parametrize("pattern", ["n c l -> n c", "n c l -> n c l", "n l c -> n c"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_proof_sees_every_element_of_an_affine_layer(pattern: str, dtype: str) -> None:
    adapter = driver(pattern)
    shape, rng = adapter.contract.pattern.shape(6, 10, 3), np.random.default_rng(5)
    probe = probes.make_probe(adapter, adapter.contract.pattern, shape, dtype, "contiguous", 0.3, 1)
    axes, coin_axes = adapter.contract.pattern.axes, adapter.contract.pattern.coins
    mask = rng.random([s if a in coin_axes else 1 for a, s in zip(axes, shape, strict=True)]) < 0.3
    x = np.asarray(adapter.array(probe.x))
    kept, dropped = recipes(x, 0.3, dtype)["coefficients rounded"]
    y = np.where(mask, dropped, kept).astype(NATIVE[dtype])
    for _ in range(3):  # what the first call taught must give the same answer
        proof = proof_of.Proof()
        coins = proof_of.prove(adapter, probe, y, proof)
        assert (proof.violations, proof.wrong_values, proof.malformed) == (0, 0, None)
        assert coins is not None and int(np.bitwise_count(coins).sum()) == int(np.count_nonzero(mask))
    for place in rng.integers(0, y.size, 30):
        bad = y.copy()
        torn = bad.reshape(-1)
        was_dropped = bool(np.broadcast_to(mask, shape).reshape(-1)[place])
        torn[place] = kept.reshape(-1)[place] if was_dropped else dropped
        again = proof_of.Proof()
        proof_of.prove(adapter, probe, bad, again)
        assert again.violations == (0 if pattern == "n c l -> n c l" else 1)
        moved = y.copy()
        flat = moved.reshape(-1)
        flat[place] = flat[place] * 1.25 + 0.5
        again = proof_of.Proof()
        proof_of.prove(adapter, probe, moved, again)
        assert again.wrong_values == 1
