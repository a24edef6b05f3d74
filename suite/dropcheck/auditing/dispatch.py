"""The units of one target: sent out to be counted, put together case by case, and judged as soon as a case is whole."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

import msgspec

from dropcheck.auditing import executors as crew
from dropcheck.auditing import sequential as early
from dropcheck.auditing.state import Run
from dropcheck.auditing.time_left import Remaining
from dropcheck.contract.cases import Case
from dropcheck.count.gather import Counted, Joined, Work, gathered
from dropcheck.count.gathered import Gathered
from dropcheck.count.units import Unit, split
from dropcheck.judge.checks.base import Check, finding
from dropcheck.judge.verdicts import ASIDE, beneath, judge, refused_case
from dropcheck.plan.plan import Asked
from dropcheck.results.audit import Finding
from dropcheck.worker.client import TargetError, timed_out
from dropcheck.worker.sessions import SessionPool


def count_all(
    run: Run, asked: Asked, pool: SessionPool, executor: Executor, remote: bool
) -> tuple[list[Gathered], list[list[Finding]]]:
    """Every case's units through the executor; each case is judged when its last unit has come, whatever the order."""
    assert run.contract is not None
    cases = list(asked)
    units = [run.early[case].units if case in run.early else split(case) for case in cases]
    todo = iter([(number, unit) for number, some in enumerate(units) for unit in some])
    remaining, undone = Remaining(), [sum(u.calls for u in some) for some in units]
    run.counting = time.monotonic()
    parts: list[dict[int, Counted]] = [{} for _ in cases]  # of cases that may end early: unit by unit
    joined = [Joined() for _ in cases]  # of all others
    everything: list[Gathered | None] = [None] * len(cases)
    judged: list[list[Finding]] = [[] for _ in cases]
    waiting: dict[Future[Counted], int] = {}
    restored: set[Future[Counted]] = set()  # these are on the disk already
    window = 4 * pool.capacity if not remote else 64  # units under way: their tallies must not fill the memory
    contract, refused = run.contract.to_dict(), set[int]()
    flipped = [0] * len(cases)  # a refused case counts none, whatever had come of it by then
    held: tuple[int, Unit] | None = None  # a unit that is not handed out yet: its case may end before
    while True:
        while len(waiting) < (1 if run.request.in_process else window):
            number, unit = held or next(todo, (-1, None))
            held = None
            if unit is None:
                break
            if cases[number] in run.early and list(waiting.values()).count(number) >= pool.capacity:
                held = number, unit
                break
            if number not in refused:  # a case that is refused, or has ended early, asks for no more
                kept = run.store.get(run.kept_as, unit) if run.store is not None else None
                if kept is not None:
                    done_before: Future[Counted] = Future()
                    done_before.set_result(kept)
                    waiting[done_before] = number
                    restored.add(done_before)
                    continue
                work = Work(unit, pool.spec, contract, run.request.seed, run.target.name)
                waiting[executor.submit(crew.count_unit, work)] = number
        if not waiting:
            break
        done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        if remote and not done and pool.deadline is not None and time.monotonic() > pool.deadline:
            raise TargetError(timed_out(run.request.timeout_s))
        for future in done:
            number, counted = waiting.pop(future), future.result()
            run.clock.add(counted.clock)
            if future not in restored:
                if run.store is not None:
                    run.store.put(run.kept_as, counted)
                remaining.add(cases[number], counted.unit.calls, counted.clock.gather_s)
            undone[number] -= counted.unit.calls
            if counted.lost:
                run.traits["workers lost and replaced"] = run.traits.get("workers lost and replaced", 0) + counted.lost
            if (ending := run.early.get(cases[number])) is not None:
                parts[number][counted.unit.index] = counted
                early.slim(counted)
                used = [] if number in refused else ending.used(parts[number])
                if not used:
                    continue
                # later units are neither asked for nor looked at
                counted, parts[number] = used[-1], dict(enumerate(used))
                units[number] = units[number][: len(used)]
                flipped[number] = sum(u.tally.coins for u in used[:-1])
            if counted.refusal is not None:
                if number not in refused:
                    refused.add(number)
                    flipped[number] = 0
                    some = refused_case(cases[number], asked[cases[number]], counted.refusal)
                    judged[number] = [run.replayable(one, cases[number]) for one in some]
                    run.so_far.extend(judged[number])
                continue
            if number in refused:
                continue
            flipped[number] += counted.tally.coins
            run.coins = sum(flipped)
            if ending is None:
                joined[number].add(counted)
            some_units = len(parts[number]) if ending is not None else joined[number].units
            if some_units == len(units[number]):
                whole = joined[number].whole
                ordered = [parts[number][i] for i in sorted(parts[number])] if whole is None else [whole]
                everything[number] = _judged(run, cases[number], asked, ordered, judged[number])
                parts[number], joined[number] = {}, Joined()
                if ending is not None:
                    refused.add(number)
            if run.progress is not None:
                undecided = [i for i, n in enumerate(undone) if n and i not in refused]
                run.left = remaining.ratio([(cases[i], undone[i]) for i in undecided])
            run.tell("running", str(cases[number]))
    run.left = 0.0
    return [got for got in everything if got is not None], judged


def _judged(run: Run, case: Case, asked: Asked, ordered: list[Counted], found: list[Finding]) -> Gathered:
    """Put the units of a case together, judge it, and let go of what is not needed again."""
    assert run.contract is not None
    started = time.perf_counter()
    got = gathered(case, run.contract, ordered, run.alpha_of_words)
    run.clock.tally_s += time.perf_counter() - started
    started = time.perf_counter()
    aside = [c for c in run.checks if c.name in ASIDE]
    some = judge(got, asked[case], aside, run.request.profile, run.request.strict, run.request.resolution)
    _beneath(run, got, some)
    if (ended := run.early.get(case)) is not None:
        some = [ended.finding(one, ordered) if one.check == early.MARGINAL else one for one in some]
    for one in some:
        # what an exact check is told of a case shows only where another check asks for that case
        beside = f",{asked[case][0].name}" if one.check in ASIDE else ""
        found.append(run.replayable(one, case, beside))
    run.so_far.extend(found)
    run.clock.judge_s += time.perf_counter() - started
    got.sample = None  # memory stays flat however many cases there are
    return got


def _beneath(run: Run, got: Gathered, some: list[Finding]) -> None:
    """Evaluate what the verdicts of a case depend on and nobody asked; it is kept beside the findings.

    What fails and was selected for other cases is a failure here, too: else nobody would say it.
    """
    request, case = run.request, got.case
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
        if one.verdict == "fail" and run.has(one.check):
            some.append(one)
        else:
            run.beside.append(msgspec.structs.replace(one, picture=None))
