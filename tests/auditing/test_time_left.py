"""What remains of an audit is told from what its finished units took, not from coins alone."""

from __future__ import annotations

import numpy as np
import pytest

from dropcheck.auditing.run import run
from dropcheck.auditing.time_left import Remaining, _least_squares, features, together
from dropcheck.contract.cases import parse_case
from dropcheck.plan.request import AuditRequest, Event

BULK = parse_case("float32 rate=0.3 1025,64,4 calls=512")
SHORT = parse_case("float32 rate=0.3 4,3,5 calls=20000")
SEEDS = parse_case("float32 rate=0.3 4,64,4 calls=4096 seeds")


def seconds(case, calls: int) -> float:
    made, calls_, coins, elements = features(case, calls)
    return 2e-3 * made + 5e-4 * calls_ + 1e-9 * coins + 2e-9 * elements


def test_short_calls_are_weighed_by_what_calls_cost() -> None:
    remaining = Remaining()
    done = [(BULK, 512), (BULK, 500), (SHORT, 2000), (BULK, 100), (SEEDS, 64)]
    for case, calls in done:
        remaining.add(case, calls, seconds(case, calls))
    left = [(SHORT, 18000), (SEEDS, 4032)]
    expected = sum(seconds(*one) for one in left)
    assert remaining.units(left) == pytest.approx(expected, rel=0.6)
    for _ in range(40):  # the more units, the less the usual costs weigh
        for case, calls in done:
            remaining.add(case, calls, seconds(case, calls))
    assert remaining.units(left) == pytest.approx(expected, rel=0.05)


def test_first_units_of_long_calls_say_nothing_wild_of_short_ones() -> None:
    """Calls of 65,000 coins cannot tell what a call costs by itself: the usual costs keep the guess near."""

    def took(case, calls: int) -> float:
        made, calls_, coins, elements = features(case, calls)
        return 1e-3 * made + 2e-4 * calls_ + 5e-8 * coins + 2e-8 * elements

    remaining = Remaining()
    for calls, noise in ((64, 1.5), (99, 0.8), (2, 1.3), (13, 1.1), (21, 0.9), (2, 0.7)):
        remaining.add(BULK, calls, noise * took(BULK, calls))
    assert 0.2 < (remaining.units([(SHORT, 12000)]) or 0) / took(SHORT, 12000) < 5


def test_from_no_unit_nothing_is_said() -> None:
    remaining = Remaining()
    assert remaining.units([(BULK, 512)]) is None
    remaining.add(BULK, 256, 1.0)
    assert 1.9 < (remaining.units([(BULK, 512)]) or 0) < 2.1
    assert remaining.units([]) == 0


def test_units_that_took_no_time_that_a_clock_can_see_leave_none() -> None:
    remaining = Remaining()
    for _ in range(5):
        remaining.add(BULK, 256, 0.0)
    assert remaining.units([(BULK, 512)]) == 0


def test_judging_is_counted_by_cases_and_exact_questions_run_beside() -> None:
    remaining = Remaining()
    assert remaining.to_judge(3) == 0
    remaining.judged(1.0)
    remaining.judged(3.0)
    assert remaining.to_judge(3) == 6
    assert together(10, 0.0, 99) == together(10, 0.4, 99) == together(10, 1.0, 99) == 10
    assert together(10, 0.5, 20) == 20


def test_a_bar_never_goes_back_and_ends_at_one() -> None:
    told: list[Event] = []
    cases = tuple(f"float32 rate=0.3 {rows},17,3 calls=640" for rows in (33, 65, 129, 257, 31, 63, 127, 255))
    run(AuditRequest(targets=("custom.reference",), select=("mask", "rate"), cases=cases), progress=told.append)
    shares = [e.done for e in told]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len({*shares}) > 5
    assert all(e.remaining_s is None or e.remaining_s >= 0 for e in told)


def test_costs_are_those_of_scipy() -> None:
    from scipy.optimize import nnls

    rng = np.random.default_rng(1)
    for _ in range(50):
        rows, values = rng.normal(size=(9, 4)), rng.normal(size=9)
        assert _least_squares(rows, values) == pytest.approx(nnls(rows, values)[0], abs=1e-12)
