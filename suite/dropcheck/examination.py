"""One target's audit: open it, ask the exact questions, have its units counted, judge its cases in order."""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from dropcheck import crew, early, evidence_over_runs, results, targets
from dropcheck.cases import Case, seed_of
from dropcheck.checks import CHECKS
from dropcheck.checks.base import Bench, Check, Gathered, finding, plain
from dropcheck.checks.questions import probe
from dropcheck.checks.seed import unseeded_digest
from dropcheck.contract import Contract, ContractError
from dropcheck.errors import UsageError
from dropcheck.gather import Clock, Counted, Work, gathered
from dropcheck.judging import interpret, judge, refused_case
from dropcheck.planning import LADDER
from dropcheck.plans import Asked, asked_cases
from dropcheck.replay import replayable
from dropcheck.request import AuditRequest, Event, Progress
from dropcheck.results import Finding, TargetResult, Timing
from dropcheck.sessions import SessionPool, SessionSpec, opened_pool
from dropcheck.store import Store
from dropcheck.units import Unit, split
from dropcheck.worker.client import Refused, Session, TargetError, ask


@dataclass
class Run:
    """The state of one target's audit. ``sessions``: processes that may serve it at once."""

    target: targets.Target
    request: AuditRequest
    checks: list[Check]
    progress: Progress | None
    sessions: int = 1
    store: Store | None = None
    began: float = field(default_factory=time.monotonic)
    findings: list[Finding] = field(default_factory=list)
    traits: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    start_s: float = 0.0
    coins: int = 0
    info: dict[str, Any] = field(default_factory=dict)
    contract: Contract | None = None
    usage: str = ""  # the target could not be audited because of what the user asked for, not because of the layer
    exact_done: float = 0.0
    coins_done: float = 0.0
    early: dict[Case, early.Early] = field(default_factory=dict)  # cases that end when the rate is decided
    entry: evidence_over_runs.Entry | None = None  # its run in a ledger

    @property
    def kept_as(self) -> str:
        """The name of its units on disk: a ledger's runs have seeds of their own."""
        return self.target.name if self.entry is None else f"{self.target.name} seed {self.request.seed}"

    def tell(self, state: str, message: str = "", done: float | None = None) -> None:
        """Report progress, with an estimate of what remains from what is done."""
        if self.progress is None:
            return
        share = done if done is not None else 0.02 + 0.13 * self.exact_done + 0.85 * self.coins_done
        elapsed = time.monotonic() - self.began
        remaining = elapsed * (1 - share) / share if share > 0.05 else None
        self.progress(Event(self.target.name, share, elapsed, remaining, state, message))

    def spec(self) -> SessionSpec:
        """How this target is opened."""
        request, target = self.request, self.target
        return SessionSpec(
            locator=target.locator,
            source=target.source,
            pattern=request.pattern,
            python=request.python,
            environment=target.environment,
            path=target.path,
            packages=target.packages,
            timeout_s=request.timeout_s,
            memory_mb=request.memory_mb,
            in_process=request.in_process,
            token=secrets.token_hex(4),
        )

    def has(self, name: str) -> bool:
        """Whether a check of that name was selected."""
        return any(c.name == name for c in self.checks)


def audit_target(run: Run, cluster: Executor | None = None) -> TargetResult:
    """One target's audit; never raises: what goes wrong is that target's verdict."""
    error = details = None
    run.began = time.monotonic()  # the limit is a target's own: waiting for a free core does not count
    try:
        run.tell("starting", done=0.0)
        # a second process, started early so that its imports overlap: it answers for fresh processes, then it counts
        spare = run.has("seed.reproducible") and not run.request.in_process
        capacity = 1 if run.request.in_process else max(run.sessions, 2 if spare else 1)
        with opened_pool(run.spec(), capacity, run.began + run.request.timeout_s) as pool:
            _examine(run, pool, spare, cluster)
    except Refused as refused:
        error, details = _open_failure(refused), "\n".join(refused.lines)
    except TargetError as ended:
        error, details = str(ended), ended.details
    except (ContractError, UsageError) as bad:
        error = run.usage = str(bad)
    except Exception as bug:  # a fault of the suite must cost one target, and must not look like the layer's
        error, details = f"dropcheck itself failed: {type(bug).__name__}: {bug}", traceback.format_exc()
    left_open = evidence_over_runs.leave(run)
    if left_open:
        error = f"{error}; {left_open}" if error is not None else left_open
    result = _target_result(run, error, details)
    run.tell("failed" if result.verdict in ("fail", "error") else "finished", result.verdict, done=1.0)
    return result


def _open_failure(refused: Refused) -> str:
    if refused.where == "open":
        return refused.message or str(refused)
    return f"the layer raised {refused} ({refused.where})"


@dataclass
class _Lent:
    """A session that goes back to its pool instead of being closed."""

    session: Session
    pool: SessionPool

    def submit(self, request: Any) -> None:
        self.session.submit(request)

    def collect(self) -> dict[str, Any]:
        return self.session.collect()

    def close(self) -> None:
        self.pool.release(self.session)


def _examine(run: Run, pool: SessionPool, spare: bool, cluster: Executor | None) -> None:
    """All checks of one target."""
    primary = pool.start()
    second = None
    if spare:
        try:
            second = pool.start()
        except TargetError:
            second = None
    info = run.info = primary.collect()
    contract = run.contract = Contract.from_dict(info["contract"])
    evidence_over_runs.begin(run)
    bench = _bench(run, primary, second, pool)
    if not bench.dtypes:
        return
    if second is not None:
        bench.unseeded = unseeded_digest(bench)
    _first_refusal(contract, bench)
    run.start_s = time.monotonic() - run.began  # with the first call, in which frameworks load and compile
    asked = asked_cases(run.request, run.target.name, run.checks, contract, info, primary, run.began)
    run.early = early.plans(run.request, contract, asked)
    with crew.local(pool.capacity, run.request.in_process) as executor:
        exact = executor.submit(_exact, run, bench, primary, pool)
        try:
            everything, judged = _count_all(run, asked, pool, cluster or executor, cluster is not None)
        except BaseException:
            pool.abort()
            raise
        run.findings = exact.result() + [one for some in judged for one in some]
    for check in run.checks:
        if check.compare is not None:
            limits = check.limits(run.request.profile, None, run.request.strict, run.request.resolution)
            # what ended when its own rate was decided is no fair sample for a comparison
            whole = [got for got in everything if got.case not in run.early]
            run.findings.extend(_replayable(run, f, None) for f in check.compare(check, whole, limits))
    _beside(run, everything)
    evidence_over_runs.judged(run, asked)
    run.findings = interpret(run.findings)
    if run.request.causes and any(f.verdict == "fail" for f in run.findings):
        _explain(run, pool)


def _explain(run: Run, pool: SessionPool) -> None:
    """For what fails: the likely cause, and the smallest case that still fails. A correct layer costs nothing here."""
    from dropcheck import causes, shrinking

    assert run.contract is not None
    run.tell("running", "smallest failing cases")
    run.findings = causes.named(run.findings)
    try:
        session = pool.acquire()
    except (TargetError, Refused):  # the findings stand without their smallest cases
        return
    words = _alpha_of_words(run)
    run.findings, whole = shrinking.shrunk(
        run.findings,
        session,
        pool.spec,
        run.contract,
        run.request,
        run.target.name,
        run.checks,
        words,
        bool(run.info.get("heavy")),
    )
    (pool.release if whole else pool.discard)(session)


def _alpha_of_words(run: Run) -> float:
    """The error probability at which repeated words are looked for."""
    return next(c for c in CHECKS if c.name == "mask.distinct-calls").limits(run.request.profile).alpha


def _bench(run: Run, primary: Session, second: Session | None, pool: SessionPool) -> Bench:
    assert run.contract is not None
    request = run.request

    def fresh() -> Session:
        assert second is not None
        second.collect()
        return _Lent(second, pool)

    return Bench(
        session=primary,
        info=run.info,
        contract=run.contract,
        dtypes=tuple(d for d in run.info["dtypes"] if not request.dtypes or d in request.dtypes),
        seed=seed_of(request.seed, run.target.name, "exact"),
        rates=tuple(run.contract.rates or request.rates or LADDER),
        profile=request.profile,
        traits=run.traits,
        fresh_session=fresh if second is not None else None,
    )


def _exact(run: Run, bench: Bench, primary: Session, pool: SessionPool) -> list[Finding]:
    """The exact questions, in the order of judgement; the session goes to the units afterwards."""
    request = run.request
    exact = [c for c in run.checks if c.observe is not None]
    found: dict[str, list[Finding]] = {}
    # the check that needs the second process goes first, so that the process is free to count
    for number, check in enumerate(sorted(exact, key=lambda c: c.name != "seed.reproducible")):
        assert check.observe is not None
        run.exact_done = number / len(exact)
        run.tell("running", check.name)
        limits = check.limits(request.profile, None, request.strict, request.resolution)
        started = time.perf_counter()
        try:
            some = check.observe(check, bench, limits)
        except Refused as refused:
            some = [finding(check, "exact", "error", f"the layer raised {refused} ({refused.where})")]
        found[check.name] = [_replayable(run, f, None) for f in some]
        run.clock.judge_s += time.perf_counter() - started
    run.exact_done = 1.0
    pool.release(primary)
    return [one for check in exact for one in found[check.name]]


def _count_all(
    run: Run, asked: Asked, pool: SessionPool, executor: Executor, remote: bool
) -> tuple[list[Gathered], list[list[Finding]]]:
    """Every case's units through the executor; each case is judged when its last unit has come, whatever the order."""
    assert run.contract is not None
    cases = list(asked)
    units = [run.early[case].units if case in run.early else split(case) for case in cases]
    todo = iter([(number, unit) for number, some in enumerate(units) for unit in some])
    total = sum(c.coins for c in cases) + 1
    parts: list[dict[int, Counted]] = [{} for _ in cases]
    everything: list[Gathered | None] = [None] * len(cases)
    judged: list[list[Finding]] = [[] for _ in cases]
    waiting: dict[Future[Counted], int] = {}
    restored: set[Future[Counted]] = set()  # these are on the disk already
    window = 4 * pool.capacity if not remote else 64  # units under way: their tallies must not fill the memory
    contract, refused, flipped = run.contract.to_dict(), set[int](), 0
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
            raise TargetError(f"stopped after the time limit of {run.request.timeout_s:g} s (--timeout sets another)")
        for future in done:
            number, counted = waiting.pop(future), future.result()
            run.clock.add(counted.clock)
            if run.store is not None and future not in restored:
                run.store.put(run.kept_as, counted)
            if counted.lost:
                run.traits["workers lost and replaced"] = run.traits.get("workers lost and replaced", 0) + counted.lost
            parts[number][counted.unit.index] = counted
            if (ending := run.early.get(cases[number])) is not None:
                early.slim(counted)
                used = [] if number in refused else ending.used(parts[number])
                if not used:
                    continue
                # later units are neither asked for nor looked at
                counted, parts[number] = used[-1], dict(enumerate(used))
                units[number] = units[number][: len(used)]
                flipped += sum(u.tally.rows * u.tally.channels for u in used[:-1])
            if counted.refusal is not None:
                if number not in refused:
                    refused.add(number)
                    some = refused_case(cases[number], asked[cases[number]], counted.refusal)
                    judged[number] = [_replayable(run, one, cases[number]) for one in some]
                continue
            flipped += counted.tally.rows * counted.tally.channels
            run.coins, run.coins_done = flipped, min(1.0, flipped / total)
            if number not in refused and len(parts[number]) == len(units[number]):
                everything[number] = _judged(run, cases[number], asked, parts[number], judged[number])
                parts[number] = {}
                if ending is not None:
                    refused.add(number)
            run.tell("running", str(cases[number]))
    run.coins_done = 1.0
    return [got for got in everything if got is not None], judged


def _judged(run: Run, case: Case, asked: Asked, parts: dict[int, Counted], found: list[Finding]) -> Gathered:
    """Put the units of a case together, judge it, and let go of what is not needed again."""
    assert run.contract is not None
    started = time.perf_counter()
    words = _alpha_of_words(run)
    got = gathered(case, run.contract, [parts[i] for i in sorted(parts)], words)
    run.clock.tally_s += time.perf_counter() - started
    started = time.perf_counter()
    untouched = [c for c in run.checks if c.name == "form.input-untouched"]
    some = judge(got, asked[case], untouched, run.request.profile, run.request.strict, run.request.resolution)
    if (ended := run.early.get(case)) is not None:
        used = [parts[i] for i in sorted(parts)]
        some = [ended.finding(one, used) if one.check == early.MARGINAL else one for one in some]
    found.extend(_replayable(run, one, case) for one in some)
    run.clock.judge_s += time.perf_counter() - started
    got.sample = None  # memory stays flat however many cases there are
    return got


def _first_refusal(contract: Contract, bench: Bench) -> None:
    """A layer that cannot be built or called at all is an error with its own words, not a list of failures."""
    rate = (contract.rates or (0.3,))[0]
    way = contract.seeds[0] if contract.seeds else "global"
    dtype = bench.dtypes[0]
    x = probe(contract.pattern, dtype, 3, 5, 2)
    try:
        made = ask(bench.session, "make", rate=rate, dtype=dtype, seed=bench.seed, way=way)
    except Refused as refused:
        raise TargetError(f"the constructor refuses rate {rate:g}: {refused}", "\n".join(refused.lines)) from refused
    try:
        ask(bench.session, "apply", id=made["id"], x=x, dtype=dtype, layout="contiguous", training=True, record=False)
    except Refused as refused:
        raise TargetError(
            f"the layer raises when called on a {dtype} input of shape {x.shape} ('{contract.pattern}'): {refused}",
            "\n".join(refused.lines),
        ) from refused


def _replayable(run: Run, one: Finding, case: Case | None) -> Finding:
    return replayable(run.request, run.target.name, one, case)


def _beside(run: Run, everything: Sequence[Gathered]) -> None:
    """The product (1 - measured rate) x scale beside the scale: 1 where expectation is kept, whatever each is alone."""
    shown = run.traits.get("scale rounding", {})
    for key, trait in shown.items():
        dtype, _, rate = key.partition(" rate=")
        some = [
            g for g in everything if g.case.dtype == dtype and f"{g.case.rate:g}" == rate and g.case.regime == "stream"
        ]
        coins = sum(g.tally.rows * g.tally.channels for g in some)
        if coins:
            measured = sum(g.tally.dropped for g in some) / coins
            trait["kept_times_scale"] = (1 - measured) * trait["factor"]


def _target_result(run: Run, error: str | None, details: str | None) -> TargetResult:
    verdict = results.overall([f.verdict for f in run.findings])
    if error is not None and verdict != "fail":
        verdict = "error"
    return TargetResult(
        target=run.target.name,
        framework=run.info.get("framework", ""),
        version=run.info.get("version", ""),
        contract=run.contract.to_dict() if run.contract is not None else {},
        verdict=verdict,
        timing=Timing(
            start_s=run.start_s,
            bare_s=run.clock.bare_s,
            gather_s=run.clock.gather_s,
            tally_s=run.clock.tally_s,
            judge_s=run.clock.judge_s,
            wall_s=time.monotonic() - run.began,
        ),
        traits=plain(run.traits),
        findings=run.findings,
        error=error,
        details=details,
        coins=run.coins,
        ledger=evidence_over_runs.line(run),
    )
