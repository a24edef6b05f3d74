"""The audit: plan the cases of each target, run them, judge them in order, and put one result together."""

from __future__ import annotations

import hashlib
import math
import os
import shlex
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from dropcheck import journal, results, targets
from dropcheck.adapter import DTYPES
from dropcheck.cases import Case, parse_case, seed_of
from dropcheck.checks import CHECKS, matching
from dropcheck.checks.base import ALPHA, BETA, Bench, Check, Gathered, finding, plain
from dropcheck.checks.questions import probe
from dropcheck.checks.seed import unseeded_digest
from dropcheck.contract import Contract, ContractError, Pattern, check_rate
from dropcheck.environment import describe
from dropcheck.errors import UsageError, nearest
from dropcheck.gather import Clock, gather
from dropcheck.judging import interpret
from dropcheck.planning import LADDER, PROFILES, Profile, Wanted, plan_cases
from dropcheck.results import Finding, Result, TargetResult, Timing, Verdict
from dropcheck.worker.client import LocalSession, ProcessSession, Refused, Session, TargetError, ask

DEFAULT_SEED = 20141110
DEVICES = ("cpu",)


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What one audit is asked to do; see the options of the command line."""

    targets: tuple[str, ...] = ()
    profile: str = "quick"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    dtypes: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    pattern: str | None = None
    device: str = "cpu"
    mode: str = "eager"
    cases: tuple[str, ...] = ()
    seed: int = DEFAULT_SEED
    jobs: int = 0
    timeout_s: float = 600.0
    memory_mb: int | None = None
    python: str | None = None
    budget_s: float | None = None
    resolution: float | None = None
    strict: bool = False
    journal: Path | None = None
    resume: bool = False
    in_process: bool = False
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Progress of one target."""

    target: str
    done: float
    elapsed_s: float
    remaining_s: float | None
    state: str
    message: str = ""


@dataclass(frozen=True)
class PlannedCase:
    """One case of a plan: what it would cost and what it would show."""

    case: str
    checks: list[str]
    coins: int
    seconds: float
    resolution: str


@dataclass(frozen=True)
class TargetPlan:
    """What an audit of one target would run."""

    target: str
    contract_text: str
    cases: list[PlannedCase]
    seconds: float
    error: str | None = None
    coins: int = 0


Progress = Callable[[Event], None]


@dataclass
class _Run:
    """The state of one target's audit."""

    target: targets.Target
    request: AuditRequest
    checks: list[Check]
    progress: Progress | None
    began: float = field(default_factory=time.monotonic)
    findings: list[Finding] = field(default_factory=list)
    traits: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    start_s: float = 0.0
    coins: int = 0
    info: dict[str, Any] = field(default_factory=dict)
    contract: Contract | None = None
    usage: str = ""  # the target could not be audited because of what the user asked for, not because of the layer
    asked: dict[Case, tuple[Check, ...]] = field(default_factory=dict)

    def tell(self, done: float, state: str, message: str = "") -> None:
        """Report progress, with an estimate of what remains from what is done."""
        if self.progress is None:
            return
        elapsed = time.monotonic() - self.began
        remaining = elapsed * (1 - done) / done if done > 0.05 else None
        self.progress(Event(self.target.name, done, elapsed, remaining, state, message))


# --- public --------------------------------------------------------------------------------------------------------


def run(request: AuditRequest, progress: Progress | None = None) -> Result:
    """Audit all targets of a request. Raises UsageError for what cannot be run; everything else is in the result.

    Ctrl-C returns what is finished as an interrupted result.
    """
    chosen, checks = _prepare(request)
    finished: dict[str, TargetResult] = {}
    fingerprint = _fingerprint(request, checks)
    if request.journal is not None:
        finished = journal.read(request.journal, fingerprint) if request.resume else {}
        journal.begin(request.journal, fingerprint, finished.values())
    todo = [t for t in chosen if t.name not in finished]
    interrupted = False
    jobs = min(len(todo), request.jobs or min(os.cpu_count() or 1, 8)) or 1
    pool = ThreadPoolExecutor(jobs)
    futures: dict[Future[TargetResult], targets.Target] = {}
    runs = {t.name: _Run(t, request, checks, progress) for t in todo}
    try:
        for target in todo:
            futures[pool.submit(_audit_target, runs[target.name])] = target
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                one = future.result()
                finished[one.target] = one
                if request.journal is not None:
                    journal.append(request.journal, one)
    except KeyboardInterrupt:
        interrupted = True
        for future in futures:
            future.cancel()
        _stop_all()
    finally:
        pool.shutdown(wait=not interrupted, cancel_futures=True)
    if todo and all(r.usage for r in runs.values()):
        raise UsageError(next(iter(runs.values())).usage)
    ordered = [finished[t.name] for t in chosen if t.name in finished]
    return Result(
        verdict=results.overall([t.verdict for t in ordered]),
        environment=describe(),
        argv=list(request.argv),
        profile=request.profile,
        seed=request.seed,
        alpha=ALPHA,
        beta=BETA,
        targets=ordered,
        interrupted=interrupted,
    )


def plan(request: AuditRequest) -> list[TargetPlan]:
    """What the request would run: cases, coins, seconds and resolution, after timing a few calls of each target."""
    chosen, checks = _prepare(request)
    return [_plan_target(_Run(target, request, checks, None)) for target in chosen]


# --- preparation ---------------------------------------------------------------------------------------------------


def _prepare(request: AuditRequest) -> tuple[list[targets.Target], list[Check]]:
    """Targets and checks of a request; all bad input is refused here, before anything runs."""
    if request.profile not in PROFILES:
        raise UsageError(
            f"there is no profile {request.profile!r}; expected quick, standard or deep{nearest(request.profile, PROFILES)}"
        )
    if request.device not in DEVICES:
        raise UsageError(
            f"device {request.device!r} cannot be used; this release audits on cpu{nearest(request.device, DEVICES)}"
        )
    if request.mode not in targets.MODES:
        raise UsageError(
            f"mode {request.mode!r} cannot be used; this release audits in eager mode{nearest(request.mode, targets.MODES)}"
        )
    for dtype in request.dtypes:
        if dtype not in DTYPES:
            raise UsageError(
                f"there is no dtype {dtype!r}; expected one of {', '.join(DTYPES)}{nearest(dtype, DTYPES)}"
            )
    for rate in request.rates:
        try:
            check_rate(rate)
        except ContractError as error:
            raise UsageError(str(error)) from error
    if request.resolution is not None and not 0 < request.resolution < 0.5:
        raise UsageError(
            f"a resolution is a difference of rates in (0, 0.5), such as 0.005, not {request.resolution:g}"
        )
    if request.pattern is not None:
        try:
            Pattern.parse(request.pattern)
        except ContractError as error:
            raise UsageError(str(error)) from error
    for text in request.cases:
        parse_case(text)
    chosen = [targets.parse(text) for text in request.targets] if request.targets else targets.defaults()
    chosen = list({t.name: t for t in chosen}.values())
    checks = matching(request.select) if request.select else list(CHECKS)
    if request.ignore:
        left_out = {c.name for c in matching(request.ignore)}
        checks = [c for c in checks if c.name not in left_out]
    if not checks:
        raise UsageError("no check is left: everything that --select names is ignored by --ignore")
    return chosen, checks


def _fingerprint(request: AuditRequest, checks: Sequence[Check]) -> str:
    """What must be equal for a journal to be continued: everything that can change a verdict."""
    core = replace(request, targets=(), argv=(), journal=None, resume=False, jobs=0, timeout_s=0.0, memory_mb=None)
    text = repr(core) + ",".join(c.name for c in checks)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


_sessions: set[ProcessSession] = set()


def _stop_all() -> None:
    for session in list(_sessions):
        session.abort()


def _session(run: _Run) -> Session:
    request = run.request
    if request.in_process:
        return LocalSession()
    session = ProcessSession(
        python=request.python,
        environment=dict(run.target.environment),
        path=run.target.path,
        packages=run.target.packages,
        deadline=run.began + request.timeout_s,
        timeout_s=request.timeout_s,
        memory_mb=request.memory_mb,
    )
    _sessions.add(session)
    return session


def _open_request(run: _Run) -> dict[str, Any]:
    return {"ask": "open", "locator": run.target.locator, "source": run.target.source, "pattern": run.request.pattern}


def _opened(run: _Run, answer: dict[str, Any]) -> None:
    run.info = answer
    run.contract = Contract.from_dict(answer["contract"])


# --- one target ----------------------------------------------------------------------------------------------------


def _audit_target(run: _Run) -> TargetResult:
    """One target's audit; never raises: what goes wrong is that target's verdict."""
    error = details = None
    session = spare = None
    run.began = time.monotonic()  # the limit is a target's own: waiting for a free core does not count
    try:
        run.tell(0.0, "starting")
        session = _session(run)
        session.submit(_open_request(run))
        spare = _spare(run)
        _opened(run, session.collect())
        run.start_s = time.monotonic() - run.began
        _examine(run, session, spare)
    except Refused as refused:
        error, details = _open_failure(run, refused), "\n".join(refused.lines)
    except TargetError as ended:
        error, details = str(ended), ended.details
    except (ContractError, UsageError) as bad:
        error = run.usage = str(bad)
    except Exception as bug:  # a fault of the suite must cost one target, and must not look like the layer's
        error, details = f"dropcheck itself failed: {type(bug).__name__}: {bug}", traceback.format_exc()
    finally:
        for one in (session, spare):
            if one is not None:
                one.close()
                if isinstance(one, ProcessSession):
                    _sessions.discard(one)
    result = _target_result(run, error, details)
    run.tell(1.0, "failed" if result.verdict in ("fail", "error") else "finished", result.verdict)
    return result


def _open_failure(run: _Run, refused: Refused) -> str:
    if refused.where == "open":
        return refused.message or str(refused)
    return f"the layer raised {refused} ({refused.where})"


def _spare(run: _Run) -> Session | None:
    """A second process of the same target, started early so that its imports overlap the audit."""
    wanted = any(c.name == "seed.reproducible" for c in run.checks)
    if run.request.in_process or not wanted:
        return None
    try:
        spare = _session(run)
        spare.submit(_open_request(run))
        return spare
    except TargetError:
        return None


def _bench(run: _Run, session: Session, spare: Session | None) -> Bench:
    assert run.contract is not None
    request = run.request
    dtypes = tuple(d for d in run.info["dtypes"] if not request.dtypes or d in request.dtypes)
    rates = run.contract.rates or request.rates or LADDER

    def fresh() -> Session:
        assert spare is not None
        spare.collect()
        return spare

    return Bench(
        session=session,
        info=run.info,
        contract=run.contract,
        dtypes=dtypes,
        seed=seed_of(request.seed, run.target.name, "exact"),
        rates=tuple(rates),
        profile=request.profile,
        traits=run.traits,
        fresh_session=fresh if spare is not None else None,
    )


def _examine(run: _Run, session: Session, spare: Session | None) -> None:
    """All checks of one opened target."""
    assert run.contract is not None
    contract, request = run.contract, run.request
    bench = _bench(run, session, spare)
    if not bench.dtypes:
        return
    if spare is not None:
        bench.unseeded = unseeded_digest(bench)
    _first_refusal(run, bench)
    cases = _cases(run, session)
    total = sum(c.coins for c in cases) + 1
    exact = [c for c in run.checks if c.observe is not None]
    for number, check in enumerate(exact):
        assert check.observe is not None
        run.tell(0.02 + 0.13 * number / len(exact), "running", check.name)
        limits = check.limits(request.profile, None, request.strict, request.resolution)
        started = time.perf_counter()
        try:
            run.findings.extend(_replayable(run, f, None) for f in check.observe(check, bench, limits))
        except Refused as refused:
            run.findings.append(
                _replayable(
                    run, finding(check, "exact", "error", f"the layer raised {refused} ({refused.where})"), None
                )
            )
        run.clock.judge_s += time.perf_counter() - started
    everything: list[Gathered] = []
    flipped = 0

    def finished(got: Gathered | tuple[Case, Refused], coins: int) -> None:
        nonlocal flipped
        if isinstance(got, tuple):
            _refused_case(run, *got)
            return
        flipped += coins
        run.coins = flipped
        everything.append(got)
        started = time.perf_counter()
        _judge_case(run, got)
        run.clock.judge_s += time.perf_counter() - started
        got.sample = got.call_of_row = None  # memory stays flat however many cases there are
        run.tell(0.15 + 0.85 * min(1.0, flipped / total), "running", str(got.case))

    words = next(c for c in CHECKS if c.name == "mask.distinct-calls")
    gather(
        session,
        cases,
        contract,
        request.seed,
        run.target.name,
        run.clock,
        words.limits(request.profile).alpha,
        finished,
    )
    for check in run.checks:
        if check.compare is not None:
            limits = check.limits(request.profile, None, request.strict, request.resolution)
            run.findings.extend(_replayable(run, f, None) for f in check.compare(check, everything, limits))
    _beside(run, everything)
    run.findings = interpret(run.findings)


def _cases(run: _Run, session: Session) -> list[Case]:
    assert run.contract is not None
    request = run.request
    marginal = next(c for c in CHECKS if c.name == "rate.marginal")
    wanted = Wanted(request.rates, request.dtypes, request.shapes, request.cases, request.resolution)
    profile: Profile = PROFILES[request.profile]
    cases = plan_cases(run.contract, run.info, profile, marginal, request.seed, run.target.name, wanted)
    # what the user names is asked whatever it reaches; then too few coins are said to be inconclusive
    named = bool(request.cases or request.shapes)
    asked = {}
    for case in cases:
        checks = tuple(c for c in run.checks if (c.wants and c.wants(case) if named else _asks(c, case, request)))
        if checks:
            asked[case] = checks
    cases = list(asked)
    if request.budget_s is not None:
        left = request.budget_s - (time.monotonic() - run.began)
        cost = _costs(run, session, cases)
        whole = sum(cost)
        if whole > left:
            factor = max(0.0, left) / whole
            # every case keeps something: what becomes too coarse is inconclusive, never silently left out
            fewer = {c: replace(c, calls=max(min(c.calls, 8), int(c.calls * factor))) for c in cases}
            asked = {fewer[c]: asked[c] for c in cases}
    run.asked = asked
    return list(asked)


def _asks(check: Check, case: Case, request: AuditRequest) -> bool:
    return check.asks(case, request.profile, request.resolution)


def _costs(run: _Run, session: Session, cases: Sequence[Case]) -> list[float]:
    """Seconds that each case will take, from a few timed calls: so much a call, and so much a coin."""
    assert run.contract is not None
    pattern = run.contract.pattern
    rate = (run.contract.rates or (0.3,))[0]
    times = []
    for rows, channels in ((1, 8), (513, 64)):
        shape = list(pattern.shape(rows, channels, 4))
        calls = 32 if rows == 1 else 8
        got = ask(session, "bare", rate=rate, dtype=run.info["dtypes"][0], shape=shape, calls=calls)
        times.append(got["bare_s"] / calls)
    per_coin = max(1e-10, (times[1] - times[0]) / (513 * 64)) * 1.6
    per_call = times[0] + 6e-5  # the proof and the packing of a call
    share = [max(1.0, c.shared / 4) for c in cases]
    return [c.calls * per_call + c.coins * per_coin * s for c, s in zip(cases, share, strict=True)]


def _first_refusal(run: _Run, bench: Bench) -> None:
    """A layer that cannot be built or called at all is an error with its own words, not a list of failures."""
    assert run.contract is not None
    rate = (run.contract.rates or (0.3,))[0]
    way = run.contract.seeds[0] if run.contract.seeds else "global"
    x = probe(run.contract.pattern, bench.dtypes[0], 3, 5, 2)
    try:
        made = ask(bench.session, "make", rate=rate, dtype=bench.dtypes[0], seed=bench.seed, way=way)
    except Refused as refused:
        raise TargetError(f"the constructor refuses rate {rate:g}: {refused}", "\n".join(refused.lines)) from refused
    try:
        ask(
            bench.session,
            "apply",
            id=made["id"],
            x=x,
            dtype=bench.dtypes[0],
            layout="contiguous",
            training=True,
            record=False,
        )
    except Refused as refused:
        raise TargetError(
            f"the layer raises when called on a {bench.dtypes[0]} input of shape {x.shape} ('{run.contract.pattern}'): {refused}",
            "\n".join(refused.lines),
        ) from refused


def _judge_case(run: _Run, got: Gathered) -> None:
    request = run.request
    malformed = got.proof.get("malformed")
    for check in run.asked[got.case]:
        if check.judge is None:
            continue
        if malformed:
            shape = malformed["shape"]
            text = malformed["error"] or f"the output is {malformed['dtype']} {tuple(shape) if shape else ''}"
            run.findings.append(
                _replayable(
                    run,
                    finding(check, got.case, "skipped", f"not interpretable: {text} (see form.shape-dtype)"),
                    got.case,
                )
            )
            continue
        if check.family in ("mask", "rate", "seed") and _mostly_nonfinite(got):
            text = "not interpretable while outputs are not finite (see scale.kept-values)"
            run.findings.append(_replayable(run, finding(check, got.case, "skipped", text), got.case))
            continue
        limits = check.limits(request.profile, got.case, request.strict, request.resolution)
        one = check.judge(check, got, limits)
        if one is not None:
            if one.alpha is None and math.isfinite(limits.alpha):
                one = msgspec.structs.replace(one, alpha=limits.alpha)
            run.findings.append(_replayable(run, one, got.case))
    if got.proof.get("changed_inputs"):
        check = next(c for c in CHECKS if c.name == "form.input-untouched")
        if check in run.checks:
            run.findings.append(
                _replayable(
                    run, finding(check, got.case, "fail", "an input that was reused over calls has changed"), got.case
                )
            )


def _mostly_nonfinite(got: Gathered) -> bool:
    """Whether above one per cent of the elements were NaN or Inf: coins then say nothing about the layer's rate."""
    elements = got.tally.rows * got.tally.channels * got.case.shared
    return bool(got.proof["nonfinite"] > elements / 100)


def _refused_case(run: _Run, case: Case, refused: Refused) -> None:
    verdict: Verdict = "skipped" if refused.where == "unsupported" else "error"
    for check in run.asked[case]:
        if check.judge is not None:
            run.findings.append(
                _replayable(run, finding(check, case, verdict, f"the layer raised {refused} ({refused.where})"), case)
            )


def _replayable(run: _Run, one: Finding, case: Case | None) -> Finding:
    """The finding with the command that repeats it."""
    request = run.request
    words = ["dropcheck", "audit", run.target.name, "--select", one.check]
    if case is not None:
        words += ["--case", str(case)]
    if request.profile != "quick":
        words += ["--profile", request.profile]
    if request.seed != DEFAULT_SEED:
        words += ["--seed", str(request.seed)]
    if request.pattern is not None:
        words += ["--pattern", request.pattern]
    if request.strict:
        words += ["--strict"]
    if request.python is not None:
        words += ["--python", request.python]
    return msgspec.structs.replace(one, replay=" ".join(shlex.quote(w) for w in words))


def _beside(run: _Run, everything: Sequence[Gathered]) -> None:
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


def _target_result(run: _Run, error: str | None, details: str | None) -> TargetResult:
    verdict = results.overall([f.verdict for f in run.findings])
    if error is not None and verdict != "fail":
        verdict = "error"
    contract = run.contract.to_dict() if run.contract is not None else {}
    return TargetResult(
        target=run.target.name,
        framework=run.info.get("framework", ""),
        version=run.info.get("version", ""),
        contract=contract,
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
    )


def _plan_target(run: _Run) -> TargetPlan:
    session = None
    try:
        session = _session(run)
        session.submit(_open_request(run))
        _opened(run, session.collect())
        assert run.contract is not None
        cases = _cases(run, session)
        seconds = _costs(run, session, cases)
    except (Refused, TargetError, ContractError) as error:
        return TargetPlan(run.target.name, "", [], 0.0, str(error))
    finally:
        if session is not None:
            session.close()
    planned = []
    for case, cost in zip(cases, seconds, strict=True):
        wanting = [c.name for c in run.asked[case]]
        planned.append(PlannedCase(str(case), wanting, case.coins, cost, _resolution_words(case, run)))
    exact = [c.name for c in run.checks if c.observe is not None]
    if exact:
        planned.append(PlannedCase("exact questions", exact, 0, 1.0, "exact"))
    return TargetPlan(
        run.target.name,
        str(run.contract.pattern),
        planned,
        sum(seconds) + 1.0 + time.monotonic() - run.began,
        None,
        sum(c.coins for c in cases),
    )


def _resolution_words(case: Case, run: _Run) -> str:
    from dropcheck.statistics import association, binomial

    marginal = next(c for c in CHECKS if c.name == "rate.marginal")
    alpha = marginal.limits(run.request.profile).alpha
    if not 0 < case.rate < 1 or not case.coins:
        return ""
    rate = binomial.resolution(case.coins, case.rate, alpha, BETA)
    words = f"rate {rate * 100:.2g} points"
    if case.channels > 1 and 0.05 <= case.rate <= 0.95 and case.regime == "stream":
        pairs = case.channels * (case.channels - 1) / 2
        words += f", pair correlation {association.correlation_resolution(case.row_count, case.rate, alpha / pairs, BETA):.2g}"
    return words
