"""Paired ratios: false alarms and power on simulated samples, Holm, verdicts by interval against margin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dropcheck.speed import ratio
from dropcheck.speed.ratio import Interval

# one-sided Clopper-Pearson bound at 1e-6: a right rule breaks it once in a million runs of this test
SURE = 1e-6


def simulated(rng: np.random.Generator, effect: float, processes: int, spread: float, noise: float) -> Interval:
    """One run of a shared machine: an effect of the process, heavy-tailed noise of blocks, five pairs a process."""
    medians = []
    for _ in range(processes):
        shift = effect + rng.normal(0, spread)
        pairs = noise * rng.standard_t(3, size=(5, 2))
        medians.append(ratio.process_median(list(np.exp(shift + pairs[:, 0])), list(np.exp(pairs[:, 1]))))
    return ratio.over_processes(medians)


@pytest.mark.parametrize("margin", [0.0, ratio.MARGIN])
@pytest.mark.parametrize("processes", [5, 9])
def test_identical_code_is_called_different_at_most_as_often_as_the_level_says(margin: float, processes: int) -> None:
    rng = np.random.default_rng(20141110)
    level, runs, cells = 0.05, 2000, 4
    alarms = 0
    for _ in range(runs):
        family = [simulated(rng, 0.0, processes, 0.03, 0.05) for _ in range(cells)]
        alarms += any(j.verdict in ("faster", "slower") for j in ratio.judge(family, margin, level))
    assert alarms <= stats.binom.isf(SURE, runs, level)
    if margin == 0:  # and the level is used, not wasted
        assert alarms >= stats.binom.isf(1 - SURE, runs, level / 4)


def test_a_slow_down_of_10_percent_is_found_99_times_in_100_by_nine_processes() -> None:
    rng = np.random.default_rng(7)
    runs = 1000
    found = sum(ratio.judge([simulated(rng, math.log(1.1), 9, 0.01, 0.02)])[0].verdict == "slower" for _ in range(runs))
    assert stats.beta.ppf(SURE, found, runs - found + 1) > 0.97 and found >= 0.99 * runs


def test_a_process_with_one_lucky_memory_layout_is_no_verdict() -> None:
    # five pairs of one process, all 4 % slower: to a test over blocks overwhelming, and one process all the same
    one = ratio.over_processes([0.04])
    assert ratio.judge([one])[0].verdict == "inconclusive"
    assert ratio.judge([ratio.over_processes([0.04, -0.03, 0.01, 0.02, -0.04])])[0].verdict == "inconclusive"


def test_verdicts_follow_the_interval_against_the_margin() -> None:
    def told(mean: float, error: float) -> str:
        return ratio.judge([Interval(mean, error, 8, 9)], 0.03, 0.01)[0].verdict

    t = stats.t.ppf(0.995, 8)
    edge = math.log(1.03)
    assert told(edge + 1.01 * t * 0.01, 0.01) == "slower"
    assert told(edge + 0.99 * t * 0.01, 0.01) == "inconclusive"
    assert told(-edge - 1.01 * t * 0.01, 0.01) == "faster"
    assert told(0.0, 0.99 * edge / t) == "same"
    assert told(0.0, 1.01 * edge / t) == "inconclusive"


def test_verdicts_are_holms_step_down() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        family = [Interval(rng.normal(0, 0.1), abs(rng.normal(0, 0.02)) + 1e-4, 8, 9) for _ in range(6)]
        p = np.array([i.p_different(0.03) for i in family])
        order = np.argsort(p)
        rejected = np.zeros(6, bool)
        for step, i in enumerate(order):
            if p[i] > 0.01 / (6 - step):
                break
            rejected[i] = True
        told = [j.verdict in ("faster", "slower") for j in ratio.judge(family, 0.03, 0.01)]
        assert told == list(rejected)


def test_unpaired_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs are needed: 3 blocks of the target, 2 of the reference"):
        ratio.process_median([1.0, 2.0, 3.0], [1.0, 2.0])


def test_no_process_no_word() -> None:
    assert ratio.judge([]) == []
    assert ratio.judge([ratio.over_processes([])])[0].verdict == "inconclusive"


def test_equal_processes_to_the_last_bit_are_the_same() -> None:
    assert ratio.judge([ratio.over_processes([0.0] * 5)])[0].verdict == "same"
    assert ratio.judge([ratio.over_processes([0.5] * 5)])[0].verdict == "slower"


def test_the_difference_of_two_runs_is_welchs() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.1, 0.02, 7), rng.normal(0.0, 0.05, 5)
    one = ratio.difference(ratio.over_processes(list(a)), ratio.over_processes(list(b)))
    known = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.99)
    low, high = one.bounds(0.01)
    assert (math.log(low), math.log(high)) == pytest.approx((known.low, known.high))
