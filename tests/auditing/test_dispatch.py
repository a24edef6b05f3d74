"""A case in flight: whole in any order of its units, refused, ended early, and handed out no further than needed."""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from dropcheck.auditing.dispatch import CaseInFlight, Sent, hand_out
from dropcheck.auditing.sequential import Early, plans
from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.count.gather import Counted, Refusal
from dropcheck.count.tallies import Tally
from dropcheck.count.units import UNIT_COINS, Unit, split
from dropcheck.judge.checks import matching
from dropcheck.plan.request import AuditRequest

CONTRACT = Contract(pattern=Pattern.parse("n c l -> n c"))
THREE = Case("float32", 0.3, 512, 64, 4, 3 * UNIT_COINS // (512 * 64))
NO = Refusal("call", "ValueError", "not this one", [])


def counted(unit: Unit, dropped: int = 0, refusal: Refusal | None = None) -> Counted:
    rows = 0 if refusal is not None else unit.case.rows * unit.calls
    calls = 0 if refusal is not None else unit.calls
    channels = unit.case.channels
    tally = Tally(
        channels,
        rows=rows,
        calls=calls,
        dropped=dropped,
        channel=np.zeros(channels, int),
        histogram=np.zeros(channels + 1, int),
    )
    return Counted(unit, tally, refusal=refusal)


def ending() -> Early:
    case = Case("float32", 0.3, 257, 64, 4, 96)
    (one,) = plans(
        AuditRequest(sequential=True), CONTRACT, {case: matching(["rate.marginal", "scale.kept-values"])}
    ).values()
    return one


def all_units(one: CaseInFlight) -> list[Unit]:
    return list(iter(one.next_unit, None))


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_a_case_is_whole_with_its_last_unit_in_any_order(order: tuple[int, ...]) -> None:
    one = CaseInFlight(THREE)
    units = all_units(one)
    assert units == list(split(THREE)) and len(units) == one.under_way == 3
    assert one.undone == THREE.calls
    for turn, index in enumerate(order):
        step = one.take(counted(units[index], dropped=10**index))
        assert step is not None and step.refusal is None
        assert bool(step.whole) == one.over == (turn == 2)
    assert (one.under_way, one.undone, one.coins) == (0, 0, THREE.coins)
    (whole,) = step.whole if step is not None else ()
    assert whole.tally.dropped == 111 and whole.tally.calls == THREE.calls


def test_a_refused_case_has_no_coins_asks_for_no_more_and_says_it_once() -> None:
    one = CaseInFlight(THREE)
    first, second = one.next_unit(), one.next_unit()
    assert first is not None and second is not None
    assert one.take(counted(first)) is not None and one.coins > 0
    step = one.take(counted(second, refusal=NO))
    assert step is not None and step.refusal is NO and not step.whole
    assert one.over and one.coins == 0
    assert one.next_unit() is None and not one.todo


@pytest.mark.parametrize("late", [None, NO])
def test_units_of_a_refused_case_that_come_later_change_nothing(late: Refusal | None) -> None:
    one = CaseInFlight(THREE)
    units = all_units(one)
    assert one.take(counted(units[1], refusal=NO)) is not None
    for unit in (units[0], units[2]):
        assert one.take(counted(unit, refusal=late)) is None
    assert (one.coins, one.under_way, one.undone) == (0, 0, 0)


def test_an_early_end_waits_for_the_units_before_it_and_leaves_out_those_behind() -> None:
    early = ending()
    one = CaseInFlight(early.case, early)
    units = all_units(one)
    coins = 257 * 64 * units[0].calls
    biased = [counted(u, int(0.4 * coins)) for u in units]
    needed = len(early.used({u.index: part for u, part in zip(units, biased, strict=True)}))
    assert 1 <= needed < len(units)
    for part in reversed(biased[1:]):
        assert one.take(part) is None, "the first unit is missing"
    assert one.coins == 0 and not one.over
    step = one.take(biased[0])
    assert step is not None and [part.unit.index for part in step.whole] == list(range(needed))
    assert one.over and one.coins == needed * coins


def test_after_an_early_end_nothing_is_asked_for_or_looked_at() -> None:
    early = ending()
    one = CaseInFlight(early.case, early)
    coins = 257 * 64 * early.units[0].calls
    whole = None
    while not one.over:
        unit = one.next_unit()
        assert unit is not None
        spare = one.next_unit() if unit.index == 0 else None
        whole = one.take(counted(unit, int(0.4 * coins)))
        if spare is not None and not one.over:
            whole = one.take(counted(spare, int(0.4 * coins)))
    assert whole is not None and whole.whole
    left = len(one.todo)
    assert left > 0 and one.next_unit() is None and not one.todo
    before = one.coins
    assert one.take(counted(early.units[-1], coins)) is None and one.coins == before


def test_a_refusal_before_the_decision_refuses_a_case_that_could_end_early() -> None:
    early = ending()
    one = CaseInFlight(early.case, early)
    first, second = one.next_unit(), one.next_unit()
    assert first is not None and second is not None
    assert one.take(counted(second, refusal=NO)) is None, "the first unit may decide before it"
    step = one.take(counted(first, int(0.3 * 257 * 64 * first.calls)))
    assert step is not None and step.refusal is NO and one.coins == 0


class Sender:
    """Keeps what is sent; nothing is counted."""

    def __init__(self) -> None:
        self.units: list[Unit] = []

    def __call__(self, unit: Unit) -> tuple[Future[Any], bool]:
        self.units.append(unit)
        return Future(), unit.index == 1


def test_units_are_handed_out_in_the_order_of_the_cases_within_the_window() -> None:
    small = Case("float32", 0.3, 64, 8, 2, 64)
    cases, send = [CaseInFlight(THREE), CaseInFlight(small)], Sender()
    waiting: dict[Future[Counted], Sent] = {}
    assert hand_out(cases, waiting, send, 2, 1)
    assert [(u.case, u.index) for u in send.units] == [(THREE, 0), (THREE, 1)]
    assert [s.restored for s in waiting.values()] == [False, True]
    assert hand_out(cases, waiting, send, 2, 1) and len(send.units) == 2, "the window is full"
    waiting.clear()
    assert hand_out(cases, waiting, send, 9, 1)
    assert [(u.case, u.index) for u in send.units[2:]] == [(THREE, 2), (small, 0)]
    waiting.clear()
    assert not hand_out(cases, waiting, send, 9, 1), "nothing is left"


def test_a_refused_case_is_passed_over_for_the_next() -> None:
    small = Case("float32", 0.3, 64, 8, 2, 64)
    cases, send = [CaseInFlight(THREE), CaseInFlight(small)], Sender()
    unit = cases[0].next_unit()
    assert unit is not None
    cases[0].take(counted(unit, refusal=NO))
    assert hand_out(cases, {}, send, 9, 1)
    assert [u.case for u in send.units] == [small]


def test_a_case_that_may_end_early_has_no_more_units_under_way_than_sessions() -> None:
    early = ending()
    cases, send = [CaseInFlight(early.case, early)], Sender()
    waiting: dict[Future[Counted], Sent] = {}
    assert hand_out(cases, waiting, send, 64, 2)
    assert [u.index for u in send.units] == [0, 1]
    waiting.popitem()
    cases[0].take(counted(send.units[1], 1))
    hand_out(cases, waiting, send, 64, 2)
    assert [u.index for u in send.units] == [0, 1, 2]
