"""The sequential form of one rate: false alarms and misses within their bounds, and the coins that it saves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from dropcheck.statistics import binomial, sequential


def simulate(sides: sequential.Sides, theta: float, paths: int, batch: int, seed: int) -> tuple[int, float]:
    """(paths that fail, mean coins) when coins drop with probability ``theta``, judged after every batch."""
    rng = np.random.default_rng(seed)
    k, n = np.zeros(paths), 0
    highest, lowest = np.zeros((2, paths)), np.zeros((2, paths))
    coins, failed, done = np.zeros(paths), np.zeros(paths, bool), np.zeros(paths, bool)
    tested = [i for i, one in enumerate(sides.tested()) if one]
    while not done.all():
        k += rng.binomial(batch, theta, paths)
        n += batch
        ratios = sides.log_ratios(k, n)
        for i in tested:
            highest[i] = np.maximum(highest[i], ratios[i])
            lowest[i] = np.minimum(lowest[i], ratios[i])
        fail = highest.max(axis=0) >= sides.log_fail
        ends = np.all([-lowest[i] >= sides.log_pass for i in tested], axis=0) & ~fail
        if n >= sides.cap:
            exact = np.array([binomial.log10_outside(int(v), n, sides.p, sides.delta0) for v in k])
            outside = exact <= math.log10(sequential.CAP * sides.alpha)
            fail |= outside & ~ends
            ends = ~fail
        new = ~done & (fail | ends)
        failed[new & fail] = True
        coins[new] = n
        done |= new
    return int(failed.sum()), float(coins.mean())


def never_above(hits: int, paths: int, level: float) -> bool:
    """Whether so many hits are no evidence (one-sided exact binomial, 1e-6) that the probability exceeds ``level``."""
    return bool(binom.sf(hits - 1, paths, level) > 1e-6)


def test_coins_of_the_documented_example() -> None:
    """Rate .1, half a point, 1e-8 and 1e-6: about 404 k coins fixed, a third of them when right, 4 k when doubled."""
    fixed = binomial.coins_needed(0.1, 0.005, 1e-8, 1e-6)
    assert fixed == pytest.approx(404_000, rel=0.01)
    sides = sequential.plan(0.1, fixed, 1e-8, 1e-6, delta1=0.005)
    failed, right = simulate(sides, 0.1, 2000, 400, 1)
    assert failed == 0
    assert right == pytest.approx(130_500, rel=0.03)
    failed, doubled = simulate(sides, 0.2, 2000, 100, 2)
    assert failed == 2000
    assert doubled == pytest.approx(sequential.wald_coins(sides, 0.2), rel=0.05)
    assert doubled == pytest.approx(3_700, rel=0.05)
    assert sequential.wald_coins(sides, 0.1) < right < 1.5 * sequential.wald_coins(sides, 0.1)


@pytest.mark.parametrize(
    ("p", "delta0", "delta1", "alpha"),
    [(0.1, 0.0, 0.02, 0.05), (0.5, 0.0, 0.03, 0.01), (0.3, 0.004, 0.03, 0.05), (0.02, 0.0, 0.02, 0.05)],
)
def test_false_alarms_stay_below_nominal_however_often_one_looks(
    p: float, delta0: float, delta1: float, alpha: float
) -> None:
    coins = binomial.coins_needed(p, delta1, alpha, 0.05, delta0)
    sides = sequential.plan(p, coins, alpha, 0.05, delta0, delta1)
    for number, theta in enumerate({p - delta0, p, p + delta0}):
        failed, _ = simulate(sides, theta, 20_000, max(1, coins // 60), 10 + number)
        assert never_above(failed, 20_000, alpha)
        assert failed > 0 or theta != p  # a bound that nothing comes near would prove nothing


@pytest.mark.parametrize(("p", "delta0", "delta1"), [(0.1, 0.0, 0.02), (0.5, 0.0, 0.03), (0.3, 0.004, 0.03)])
@pytest.mark.parametrize("times", [1.0, 1.5, 3.0])
def test_defects_of_the_resolution_and_beyond_are_missed_at_most_as_often_as_promised(
    p: float, delta0: float, delta1: float, times: float
) -> None:
    coins = binomial.coins_needed(p, delta1, 0.01, 0.05, delta0)
    sides = sequential.plan(p, coins, 0.01, 0.05, delta0, delta1)
    for sign in (-1, 1):
        failed, _ = simulate(sides, p + sign * times * delta1, 20_000, max(1, coins // 60), 20)
        assert never_above(20_000 - failed, 20_000, 0.05)


def test_a_deviation_twice_the_resolution_ends_before_the_fixed_plan_would() -> None:
    coins = binomial.coins_needed(0.3, 0.01, 1e-8, 1e-6)
    sides = sequential.plan(0.3, coins, 1e-8, 1e-6)
    failed, mean = simulate(sides, 0.32, 500, coins // 50, 3)
    assert failed == 500
    assert mean < coins / 4


def test_the_cap_resolves_the_deviation_with_the_share_that_is_kept_for_it() -> None:
    for p, coins in ((0.1, 50_000), (0.5, 5_000), (0.9, 20_000), (0.01, 100_000)):
        sides = sequential.plan(p, coins, 1e-8, 1e-6)
        share = sequential.CAP
        assert binomial.resolution(sides.cap, p, share * 1e-8, share * 1e-6) <= sides.delta1
        assert sides.cap >= sequential.MOST * coins


def test_a_decision_is_a_function_of_the_stored_state() -> None:
    sides = sequential.plan(0.3, 20_000, 1e-8, 1e-6)
    rng = np.random.default_rng(4)
    state = sequential.State()
    while sequential.decide(sides, state) is None:
        state = sequential.after(sides, state, int(rng.binomial(400, 0.3)), 400)
    again = sequential.State(state.k, state.n, tuple(state.highest), tuple(state.lowest))
    assert sequential.decide(sides, again) == "pass" == sequential.decide(sides, state)
    assert sequential.log10_evidence(sides, state) > -4


def test_evidence_that_fails_is_below_alpha_and_the_other_way_round() -> None:
    sides = sequential.plan(0.3, 20_000, 1e-8, 1e-6)
    state = sequential.State()
    while sequential.decide(sides, state) is None:
        assert sequential.log10_evidence(sides, state) > -8
        state = sequential.after(sides, state, 200, 400)
    assert sequential.decide(sides, state) == "fail"
    assert sequential.log10_evidence(sides, state) <= -8


def test_impossible_counts_decide_at_once() -> None:
    sides = sequential.plan(0.001, 60_000, 1e-8, 1e-6, delta1=0.001)
    assert sides.tested() == (True, True)
    assert sequential.decide(sides, sequential.after(sides, sequential.State(), 500, 1000)) == "fail"
    # nothing dropped at all: the side of rate 0 grows by 1/(1 - rate) a coin
    state = sequential.after(sides, sequential.State(), 0, 30_000)
    assert sequential.decide(sides, state) == "fail"


def test_a_side_without_room_is_not_tested() -> None:
    sides = sequential.plan(0.01, 3_000, 1e-8, 1e-6, delta1=0.05)
    assert sides.tested() == (True, False)
    assert all(math.isnan(r) for r in np.atleast_1d(sides.log_ratios(3, 100)[1]))
    failed, _ = simulate(sides, 0.06, 2000, 50, 5)
    assert failed == 2000


def test_what_cannot_be_resolved_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be distinguished"):
        sequential.plan(0.5, 3, 1e-8, 1e-6)
    with pytest.raises(ValueError, match="tolerated"):
        sequential.plan(0.5, 1000, 1e-8, 1e-6, delta0=0.1, delta1=0.05)
