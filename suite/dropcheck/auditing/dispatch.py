"""The units of one target: sent out to be counted, put together case by case, and judged as soon as a case is whole."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass

import msgspec

from dropcheck.auditing import executors, sequential
from dropcheck.auditing.state import Advance, Found, Opened
from dropcheck.auditing.time_left import Remaining
from dropcheck.contract.cases import Case
from dropcheck.count.gather import Counted, Joined, Refusal, Work, gathered
from dropcheck.count.gathered import Gathered
from dropcheck.count.units import Unit, split
from dropcheck.judge.checks.base import Check, finding
from dropcheck.judge.verdicts import ASIDE, beneath, judge, refused_case
from dropcheck.plan.plan import Asked
from dropcheck.results.audit import Finding
from dropcheck.worker.client import TargetError, timed_out


@dataclass(frozen=True)
class Step:
    """What one unit changes about its case: the layer refuses it, or its last unit is here. ``whole``: its units in order."""

    refusal: Refusal | None = None
    whole: tuple[Counted, ...] = ()


class CaseInFlight:
    """One case from its first unit until it is whole, refused or ended early; knows nothing of executors and sessions.

    ``under_way``: units handed out that are not back. ``undone``: calls that are not back. ``coins``: those that count, none
    of a refused case. ``over``: no further unit is asked for, and what still comes is not looked at.
    """

    def __init__(self, case: Case, ending: sequential.Early | None = None) -> None:
        self.case, self.ending = case, ending
        units = split(case) if ending is None else ending.units
        self.todo = deque(units)
        self.count, self.undone = len(units), sum(unit.calls for unit in units)
        self.under_way = self.coins = 0
        self.over = False
        self._joined = Joined()
        self._parts: dict[int, Counted] = {}  # of a case that may end early, which joins nothing: unit by unit

    def next_unit(self) -> Unit | None:
        """The next unit to be counted; None where there is none or the case is over."""
        if self.over:
            self.todo.clear()
        if not self.todo:
            return None
        self.under_way += 1
        return self.todo.popleft()

    def take(self, counted: Counted) -> Step | None:
        """A unit has come back, in any order. None where it changes nothing: the case is over, or earlier units must come first."""
        self.under_way -= 1
        self.undone -= counted.unit.calls
        if self.over:
            return None
        if self.ending is not None:
            return self._looked_at(self.ending, counted)
        if counted.refusal is not None:
            return self._refused(counted.refusal)
        self.coins += counted.tally.coins
        self._joined.add(counted)
        if self._joined.units < self.count or self._joined.whole is None:
            return Step()
        whole, self._joined, self.over = self._joined.whole, Joined(), True
        return Step(whole=(whole,))

    def _looked_at(self, ending: sequential.Early, counted: Counted) -> Step | None:
        """The same for a case that ends when its rate is decided: units after the deciding one are neither asked for nor used."""
        self._parts[counted.unit.index] = sequential.slim(counted)
        used = ending.used(self._parts)
        if not used:
            return None
        if (refusal := used[-1].refusal) is not None:
            return self._refused(refusal)
        self.coins = sum(part.tally.coins for part in used)
        self._parts, self.over = {}, True
        return Step(whole=tuple(used))

    def _refused(self, refusal: Refusal) -> Step:
        self.over, self.coins = True, 0  # whatever had come of it by then
        return Step(refusal=refusal)


@dataclass(frozen=True)
class Sent:
    """A unit under way. ``restored``: it was on the disk already."""

    case: CaseInFlight
    restored: bool = False


Send = Callable[[Unit], tuple[Future[Counted], bool]]  # whether the unit was on the disk already


def count_all(
    opened: Opened,
    found: Found,
    advance: Advance,
    asked: Asked,
    ends: Mapping[Case, sequential.Early],
    executor: Executor,
    remote: bool,
) -> tuple[list[Gathered], list[list[Finding]]]:
    """Every case's units through the executor; each case is judged when its last unit has come, whatever the order.

    ``ends``: the cases that end when their rate is decided. ``remote``: the executor is a cluster's.
    """
    pool = opened.pool
    cases = [CaseInFlight(case, ends.get(case)) for case in asked]
    everything: dict[Case, Gathered] = {}
    judged: dict[Case, list[Finding]] = {case: [] for case in asked}
    waiting: dict[Future[Counted], Sent] = {}
    remaining = Remaining()
    advance.counting = time.monotonic()
    # units under way: their tallies must not fill the memory
    window = 1 if opened.request.in_process else 64 if remote else 4 * pool.capacity
    send = _sender(opened, executor)
    while hand_out(cases, waiting, send, window, pool.capacity):
        done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        if remote and not done and pool.deadline is not None and time.monotonic() > pool.deadline:
            raise TargetError(timed_out(opened.request.timeout_s))
        for future in done:
            sent, counted = waiting.pop(future), future.result()
            one = sent.case
            _note(found, counted)
            if not sent.restored:
                _keep(opened, counted)
                remaining.add(one.case, counted.unit.calls, counted.clock.gather_s)
            step = one.take(counted)
            if step is None:
                continue
            if step.refusal is not None:
                some = refused_case(one.case, asked[one.case], step.refusal)
                judged[one.case] = [opened.replayable(f, one.case) for f in some]
                found.so_far.extend(judged[one.case])
                continue
            found.coins = sum(some.coins for some in cases)
            if step.whole:
                began = time.monotonic()
                everything[one.case], judged[one.case] = _judged(opened, found, one, asked[one.case], step.whole)
                remaining.judged(time.monotonic() - began)
            if advance.progress is not None:
                left = [c for c in cases if c.undone and not c.over]
                units = remaining.units([(c.case, c.undone) for c in left])
                advance.left = None if units is None else units / pool.capacity + remaining.to_judge(len(left))
            advance.tell("running", str(one.case))
    advance.left = 0.0
    return [everything[case] for case in asked if case in everything], list(judged.values())


def hand_out(
    cases: Sequence[CaseInFlight], waiting: dict[Future[Counted], Sent], send: Send, window: int, capacity: int
) -> bool:
    """Send units in the order of the cases until ``window`` of them are under way. Whether any is.

    ``capacity``: units under way of one case that may end early; its others may not be needed.
    """
    while len(waiting) < window and (one := next((c for c in cases if c.todo), None)) is not None:
        if one.ending is not None and one.under_way >= capacity:
            break
        if (unit := one.next_unit()) is not None:
            future, restored = send(unit)
            waiting[future] = Sent(one, restored)
    return bool(waiting)


def _sender(opened: Opened, executor: Executor) -> Send:
    """Units that are on the disk come back at once, the others through the executor."""
    contract, store = opened.contract.to_dict(), opened.audit.store

    def send(unit: Unit) -> tuple[Future[Counted], bool]:
        kept = store.get(opened.kept_as, unit) if store is not None else None
        if kept is not None:
            known: Future[Counted] = Future()
            known.set_result(kept)
            return known, True
        work = Work(unit, opened.pool.spec, contract, opened.request.seed, opened.name)
        return executor.submit(executors.count_unit, work), False

    return send


def _note(found: Found, counted: Counted) -> None:
    """The seconds of a unit and the workers that were lost under it."""
    found.clock.add(counted.clock)
    if counted.lost:
        found.traits["workers lost and replaced"] = found.traits.get("workers lost and replaced", 0) + counted.lost


def _keep(opened: Opened, counted: Counted) -> None:
    if opened.audit.store is not None:
        opened.audit.store.put(opened.kept_as, counted)


def _judged(
    opened: Opened, found: Found, one: CaseInFlight, checks: Sequence[Check], whole: Sequence[Counted]
) -> tuple[Gathered, list[Finding]]:
    """Put the units of a case together, judge it, and let go of what is not needed again."""
    started = time.perf_counter()
    request, case = opened.request, one.case
    got = gathered(case, opened.contract, whole, opened.alpha_of_words)
    found.clock.tally_s += time.perf_counter() - started
    started = time.perf_counter()
    aside = [c for c in opened.checks if c.name in ASIDE]
    some = judge(got, checks, aside, request.profile, request.strict, request.resolution)
    _beneath(opened, found, got, some)
    if one.ending is not None:
        some = [one.ending.finding(f, whole) if f.check == sequential.MARGINAL else f for f in some]
    # what an exact check is told of a case shows only where another check asks for that case
    made = [opened.replayable(f, case, f",{checks[0].name}" if f.check in ASIDE else "") for f in some]
    found.so_far.extend(made)
    found.clock.judge_s += time.perf_counter() - started
    got.let_go()
    return got, made


def _beneath(opened: Opened, found: Found, got: Gathered, some: list[Finding]) -> None:
    """Evaluate what the verdicts of a case depend on and nobody asked; it is kept beside the findings.

    What fails and was selected for other cases is a failure here, too: else nobody would say it.
    """
    request, case = opened.request, got.case
    named = bool(request.cases or request.shapes)

    def planned(check: Check) -> bool:
        if check.wants is None or not check.wants(case):
            return False
        return named or check.asks(case, request.profile, request.resolution)

    beside: list[Finding] = []
    while more := beneath([*some, *beside], case, planned):
        told = judge(got, more, (), request.profile, request.strict, request.resolution)
        silent = {c.name for c in more} - {one.check for one in told}
        told += [finding(c, case, "skipped", "nothing was counted") for c in more if c.name in silent]
        beside += told
    for one in beside:
        if one.verdict == "fail" and opened.audit.has(one.check):
            some.append(one)
        else:
            found.beside.append(msgspec.structs.replace(one, picture=None))
