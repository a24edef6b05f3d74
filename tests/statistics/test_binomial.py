"""The binomial test: against exact sums, calibrated under the null, powerful at the printed resolution."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom

from dropcheck.statistics import binomial


def exact_tail(k: int, n: int, p: Fraction, upper: bool) -> Fraction:
    values = range(k, n + 1) if upper else range(k + 1)
    return sum((math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in values), Fraction(0))


def log10(value: Fraction) -> float:
    return math.log10(value.numerator) - math.log10(value.denominator)


@pytest.mark.parametrize("p", [Fraction(1, 1000), Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)])
@pytest.mark.parametrize("n", [1, 17, 120])
def test_tails_equal_exact_sums(p: Fraction, n: int) -> None:
    for k in range(n + 1):
        upper = k >= n * p
        expected = min(0.0, log10(2 * exact_tail(k, n, p, upper)))
        found = binomial.log10_two_sided(k, n, float(p))
        # far out a Chernoff bound stands in, which may only be larger (nearer to innocence)
        assert found >= expected - 1e-9
        assert found == pytest.approx(expected, abs=1e-9) or expected < -290


def test_far_tail_is_never_lost() -> None:
    assert -1e6 < binomial.log10_two_sided(900_000, 1_000_000, 0.1) < -300_000


@pytest.mark.parametrize(("p", "coins"), [(0.1, 404_000), (0.3, 928_000), (0.5, 1_100_000)])
def test_planned_coins_are_those_of_the_table(p: float, coins: int) -> None:
    found = binomial.coins_needed(p, 0.005, 1e-8, 1e-6)
    assert found == pytest.approx(coins, rel=0.01)
    assert binomial.resolution(found, p, 1e-8, 1e-6) <= 0.005
    assert binomial.resolution(int(found * 0.97), p, 1e-8, 1e-6) > 0.005


def test_zero_tolerance_is_the_exact_law() -> None:
    n = binomial.zero_tolerance_coins(2**-8, 1e-6)
    assert n == pytest.approx(3530, rel=0.01)
    assert (1 - 2**-8) ** n <= 1e-6 < (1 - 2**-8) ** (n - 1)
    assert binomial.zero_tolerance_resolution(n, 1e-6) == pytest.approx(2**-8, rel=1e-3)


@pytest.mark.parametrize("delta0", [0.0, 0.002])
@pytest.mark.parametrize("p", [0.001, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("n", [50, 1000, 20_000])
def test_thresholds_hold_by_exact_sums(n: int, p: float, delta0: float) -> None:
    """Critical counts: at every tolerated rate the probability to fail is at most alpha, one count fewer is not."""
    alpha = 1e-8
    low, high = binomial.acceptance(n, p, alpha, delta0)
    for rate in (max(0.0, p - delta0), p, min(1.0, p + delta0)):
        reject = binom.cdf(low - 1, n, rate) + binom.sf(high, n, rate)
        assert reject <= alpha * (1 + 1e-9)
    assert binomial.log10_outside(low, n, p, delta0) > -8
    assert binomial.log10_outside(high, n, p, delta0) > -8
    if low > 0:
        assert binomial.log10_outside(low - 1, n, p, delta0) <= -8
    if high < n:
        assert binomial.log10_outside(high + 1, n, p, delta0) <= -8


@pytest.mark.parametrize("p", [0.001, 0.01, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("n", [2000, 100_000])
def test_a_defect_of_the_printed_resolution_is_missed_at_most_with_beta(n: int, p: float) -> None:
    alpha, beta = 1e-8, 1e-6
    delta = binomial.resolution(n, p, alpha, beta)
    low, high = binomial.acceptance(n, p, alpha)
    for rate in (p - delta, p + delta):
        if 0 <= rate <= 1:
            missed = binom.cdf(high, n, rate) - binom.cdf(low - 1, n, rate)
            assert missed <= beta * 1.01
    if math.isfinite(delta):
        # and it is the smallest such deviation: a little less is missed more often, on one of the sides
        near = [p - delta * 0.98, p + delta * 0.98]
        assert max(binom.cdf(high, n, r) - binom.cdf(low - 1, n, r) for r in near if 0 <= r <= 1) > beta


def test_intervals_are_the_inverted_tests() -> None:
    low, high = binomial.clopper_pearson(30, 200, 0.01)
    assert binom.sf(29, 200, low) == pytest.approx(0.005)
    assert binom.cdf(30, 200, high) == pytest.approx(0.005)
    assert binomial.one_sided(0, 10, 0.05) == (0.0, pytest.approx(1 - 0.05**0.1))
    assert binomial.one_sided(10, 10, 0.05) == (pytest.approx(0.05**0.1), 1.0)
    assert binomial.clopper_pearson(0, 0, 0.01) == (0.0, 1.0)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("p", [0.01, 0.3, 0.5])
def test_null_calibration_attains_exactly_the_computed_size(alpha: float, p: float) -> None:
    """1e5 audits of a right layer: as many rejections as the discrete test's own size, never more than nominal."""
    audits, n = 100_000, 400
    law = binom.pmf(np.arange(n + 1), n, p)
    fails = binomial.log10_two_sided_many(np.arange(n + 1), n, p) <= math.log10(alpha)
    size = float(law[fails].sum())
    assert size <= alpha
    counts = np.random.default_rng(1).binomial(n, p, audits)
    rejected = int(fails[counts].sum())
    assert binom.ppf(1e-6, audits, size) <= rejected <= binom.isf(1e-6, audits, size)


def test_nothing_measured_proves_nothing() -> None:
    assert binomial.log10_two_sided(0, 0, 0.3) == 0.0
    assert binomial.log10_outside(0, 0, 0.3) == 0.0
    assert binomial.resolution(0, 0.3, 1e-8, 1e-6) == math.inf
