"""What remains of an audit is told from what its finished units took, not from coins alone."""

from __future__ import annotations

import pytest

from dropcheck.auditing.run import run
from dropcheck.auditing.time_left import Remaining, features
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
    expected = sum(seconds(*one) for one in left) / sum(seconds(*one) for one in done)
    assert remaining.ratio(left) == pytest.approx(expected, rel=0.02)
    coins = sum(features(*one)[2] for one in left) / sum(features(*one)[2] for one in done)
    assert coins < expected / 20  # coins alone would have said nearly done


def test_from_few_units_coins_tell_and_from_none_nothing() -> None:
    remaining = Remaining()
    assert remaining.ratio([(BULK, 512)]) is None
    remaining.add(BULK, 256, 1.0)
    assert remaining.ratio([(BULK, 512)]) == 2
    assert remaining.ratio([]) == 0


def test_units_that_took_no_time_that_a_clock_can_see_are_weighed_by_coins() -> None:
    remaining = Remaining()
    for _ in range(5):
        remaining.add(BULK, 256, 0.0)
    assert remaining.ratio([(BULK, 512)]) == pytest.approx(0.4)


def test_a_bar_never_goes_back_and_ends_at_one() -> None:
    told: list[Event] = []
    cases = tuple(f"float32 rate=0.3 {rows},17,3 calls=640" for rows in (33, 65, 129, 257, 31, 63, 127, 255))
    run(AuditRequest(targets=("custom.reference",), select=("mask", "rate"), cases=cases), progress=told.append)
    shares = [e.done for e in told]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len({*shares}) > 5
    assert all(e.remaining_s is None or e.remaining_s >= 0 for e in told)
