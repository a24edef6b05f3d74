"""One target's audit: open it, ask the exact questions, have its units counted, judge its cases in order."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import msgspec

from dropcheck.auditing import executors as crew
from dropcheck.auditing import over_runs as evidence_over_runs
from dropcheck.auditing import sequential as early
from dropcheck.auditing.dispatch import count_all
from dropcheck.auditing.state import Run
from dropcheck.contract.cases import LADDER, seed_of
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, ContractError, Pattern
from dropcheck.count.gathered import Gathered
from dropcheck.judge import following
from dropcheck.judge.checks import CHECK, blocks
from dropcheck.judge.checks.base import Bench, finding, plain
from dropcheck.judge.checks.exact_questions import Layer, probe
from dropcheck.judge.checks.seed import first_masks, unseeded_digest
from dropcheck.judge.checks.visible import follows
from dropcheck.judge.verdicts import SHAPE, interpret
from dropcheck.plan import other_ranks
from dropcheck.plan.plan import asked_cases, planned
from dropcheck.results import audit as results
from dropcheck.results.audit import Finding, TargetResult, Timing
from dropcheck.worker.client import Refused, Session, TargetError, ask
from dropcheck.worker.sessions import SessionPool, opened_pool


def audit_target(run: Run, cluster: Executor | None = None) -> TargetResult:
    """One target's audit; never raises: what goes wrong is that target's verdict."""
    error = details = skipped = None
    if run.target.skip:
        return _target_result(run, None, None, run.target.skip)
    if run.target.note:
        run.traits["in the model"] = run.target.note
    run.began = time.monotonic()  # the limit is a target's own: waiting for a free core does not count
    try:
        run.tell("starting", done=0.0)
        # a second process, started early so that its imports overlap: it answers for fresh processes, then it counts
        spare = run.has("seed.reproducible") and not run.request.in_process
        capacity = 1 if run.request.in_process else max(run.sessions, 2 if spare else 1)
        with opened_pool(run.spec(), capacity, run.began + run.request.timeout_s) as pool:
            _examine(run, pool, spare, cluster)
    except Refused as refused:
        sentence = _open_failure(refused)
        error, details = sentence, "\n".join(refused.lines)
        if refused.where == "open" and refused.kind == "Unsupported" and not run.findings:
            error, details, skipped = None, None, refused.message
        if refused.where == "open" and refused.kind in ("TargetNotFound", "NoDropout"):
            run.usage, details = sentence, None  # the sentence says it all
        elif refused.where == "open" and refused.kind != "Unsupported" and run.target.source == "user":
            run.usage = "\n    ".join([sentence, *refused.lines])
    except TargetError as ended:
        error, details = str(ended), ended.details
        run.broke = ended.fault
        if ended.usage:
            run.usage = error
    except (ContractError, UsageError) as bad:
        error = run.usage = str(bad)
    except Exception as bug:  # a fault of the suite must cost one target, and must not look like the layer's
        run.broke = True
        error, details = f"dropcheck itself failed: {type(bug).__name__}: {bug}", traceback.format_exc()
    if error is not None and run.entry is None and not run.findings:
        run.findings = interpret(
            run.so_far, run.beside
        )  # each finding has its own part of alpha, whatever else was to come
    if error is not None and run.entry is not None and not run.entry.told:
        run.findings = evidence_over_runs.untold(run.findings)
    left_open = evidence_over_runs.leave(run.entry)
    if left_open:
        error = f"{error}; {left_open}" if error is not None else left_open
    result = _target_result(run, error, details, skipped)
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
    given_back: bool = False

    def submit(self, request: Any) -> None:
        self.session.submit(request)

    def collect(self) -> dict[str, Any]:
        return self.session.collect()

    def close(self) -> None:
        self.given_back = True
        self.pool.release(self.session)


def _examine(run: Run, pool: SessionPool, spare: bool, cluster: Executor | None) -> None:
    """All checks of one target."""
    primary = pool.start()
    second = None
    if spare:
        try:
            second = _Lent(pool.start(), pool)
        except TargetError:
            second = None
    if run.sessions > 1:
        pool.warm()
    info = run.info = primary.collect()
    contract = run.contract = Contract.from_dict(info["contract"])
    known = evidence_over_runs.identity(run.request, info, contract, run.checks, run.source)
    run.request, run.entry = evidence_over_runs.begin(run.request, run.target.name, known)
    if run.target.mode == "ranks" and info["framework"] == "torch":
        asks = "seed.reproducible asks" if contract.replicas else "mask.distinct-samples asks"
        run.traits["ranks"] = f"seeded apart: rank 1 has the seed + 2**31; {asks} ranks that are seeded alike, too"
    if info.get("guessed"):
        run.traits["framework"] = info["guessed"]
    bench = _bench(run, primary, second)
    if not bench.dtypes:
        return
    if second is not None:
        bench.unseeded = unseeded_digest(bench)
        bench.begun = first_masks(bench, bench.seed)
    _refused_dtypes(run, bench)
    info = {**info, "dtypes": [d for d in info["dtypes"] if d not in bench.refused]}
    run.start_s = time.monotonic() - run.began  # with the first call, in which frameworks load and compile
    asked = asked_cases(run.request, run.target.name, run.checks, contract, info, primary, run.began)
    run.asked = asked
    run.early = early.plans(run.request, contract, asked)
    with crew.local(pool.capacity, run.request.in_process) as executor:
        exact = executor.submit(_exact, run, bench, primary, second, pool)
        try:
            everything, judged = count_all(run, asked, pool, cluster or executor, cluster is not None)
        except BaseException:
            pool.abort()
            raise
        run.findings = exact.result() + [one for some in judged for one in some]
    for check in run.checks:
        if check.compare is not None and not contract.pattern.blocks:
            limits = check.limits(run.request.profile, None, run.request.strict, run.request.resolution)
            # what ended when its own rate was decided is no fair sample for a comparison
            whole = [got for got in everything if got.case not in run.early]
            run.findings.extend(run.replayable(f, None) for f in check.compare(check, whole, limits))
    run.findings.extend(run.replayable(f, None) for f in _unasked(run, bench))
    _beside(run, everything)
    run.findings = evidence_over_runs.judged(run.entry, run.findings, asked, run.request, run.target.name)
    run.findings = following.withheld(interpret(run.findings, run.beside), run.beside)
    if run.request.causes and any(f.verdict == "fail" for f in run.findings):
        _explain(run, pool)


def _in_the_model(one: Finding, note: str) -> Finding:
    """A failure whose cause was seen in the model: coins along another axis than that of the channels."""
    family = one.check.partition(".")[0]
    if one.verdict == "fail" and "channels are on" in note and family in ("mask", "form", "gradient"):
        return msgspec.structs.replace(one, cause=note, defect="wrong axis in the model")
    return one


def _explain(run: Run, pool: SessionPool) -> None:
    """For what fails: the likely cause, and the smallest case that still fails. A correct layer costs nothing here."""
    from dropcheck.auditing import shrinking
    from dropcheck.judge import causes

    assert run.contract is not None
    run.tell("running", "smallest failing cases")
    run.findings = [_in_the_model(one, run.target.note) for one in causes.named(run.findings)]
    try:
        session = pool.acquire()
    except (TargetError, Refused):  # the findings stand without their smallest cases
        return
    words = run.alpha_of_words
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


def _bench(run: Run, primary: Session, second: _Lent | None) -> Bench:
    assert run.contract is not None
    request = run.request

    def fresh() -> Session:
        assert second is not None
        second.collect()
        return second

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
        planned=tuple(planned(request, run.target.name, run.contract, run.info)),
        resolution=request.resolution,
        named=bool(request.cases or request.shapes),
        requested=bool(request.rates),
    )


def _exact(run: Run, bench: Bench, primary: Session, second: _Lent | None, pool: SessionPool) -> list[Finding]:
    """The exact questions, in the order of judgement; both sessions go to the units afterwards.

    One that broke is discarded: while the pool counted it, whoever waits for a session would wait for ever.
    """
    whole = False
    try:
        found = _questions(run, bench)
        whole = True
        return found
    finally:
        (pool.release if whole else pool.discard)(primary)
        if second is not None and not second.given_back:
            pool.discard(second.session)


def _questions(run: Run, bench: Bench) -> list[Finding]:
    request = run.request
    apart = bool(bench.contract.pattern.blocks)  # their counted checks are asked here, too
    exact = [c for c in run.checks if c.observe is not None or apart]
    found: dict[str, list[Finding]] = {}
    # the check that needs the second process goes first, so that the process is free to count
    for number, check in enumerate(sorted(exact, key=lambda c: c.name != "seed.reproducible")):
        run.exact_done = number / len(exact)
        run.tell("running", check.name)
        limits = check.limits(request.profile, None, request.strict, request.resolution)
        started = time.perf_counter()
        try:
            if apart:
                some = blocks.asked(check, bench, limits, request.profile)
            else:
                assert check.observe is not None
                some = check.observe(check, bench, limits)
        except Refused as refused:
            some = [finding(check, "exact", "error", f"the layer raised {refused} ({refused.where})")]
        found[check.name] = [run.replayable(f, None) for f in some]
        run.so_far.extend(found[check.name])
        run.clock.judge_s += time.perf_counter() - started
    run.exact_done = 1.0
    if run.has("seed.distinct") or run.has("seed.neighbours"):
        _seeds_beside(run, bench)
    return [one for check in exact for one in found[check.name]]


def _seeds_beside(run: Run, bench: Bench) -> None:
    """Whether seeds reach the layer, where nobody selected that: what many seeds show depends on it."""
    check = CHECK["seed.reproducible"]
    if run.has(check.name):
        return
    assert check.observe is not None
    with contextlib.suppress(Refused):
        run.beside.extend(check.observe(check, bench, check.limits(run.request.profile)))


def _first_refusal(contract: Contract, bench: Bench) -> None:
    """A layer that cannot be built or called at all is an error with its own words, not a list of failures."""
    rate = (contract.rates or (0.3,))[0]
    way = contract.seeds[0] if contract.seeds else "global"
    dtype = bench.first
    x = probe(contract.pattern, dtype, 3, 5, 2)
    guessed = f" ({bench.info['guessed']})" if bench.info.get("guessed") else ""
    try:
        made = ask(bench.session, "make", rate=rate, dtype=dtype, seed=bench.seed, way=way)
    except Refused as refused:
        if refused.kind == "Undeclared":
            raise UsageError(refused.message) from refused
        raise TargetError(
            f"the constructor refuses rate {rate:g}: {refused}{guessed}", "\n".join(refused.lines)
        ) from refused
    try:
        ask(bench.session, "apply", id=made["id"], x=x, dtype=dtype, layout="contiguous", training=True, record=False)
    except Refused as refused:
        if refused.kind == "Undeclared":
            raise UsageError(refused.message) from refused

        def called(pattern: Pattern) -> None:
            given = probe(pattern, dtype, 3, 5, 2)
            ask(
                bench.session,
                "apply",
                id=made["id"],
                x=given,
                dtype=dtype,
                layout="contiguous",
                training=True,
                record=False,
            )

        other = other_ranks.taken(contract.pattern, called)
        hint = f", and {other_ranks.sentence(contract.pattern, other[0])}" if other is not None else ""
        raise TargetError(
            f"the layer raises when called on a {dtype} input of shape {x.shape} ('{contract.pattern}'){hint}: {refused}{guessed}",
            "\n".join(refused.lines),
        ) from refused


def _refused_dtypes(run: Run, bench: Bench) -> None:
    """Dtypes that the layer refuses at its first call are one finding of form.shape-dtype and asked nothing else.

    Raises TargetError where it can be called in none of them, or not be built. The calls of all dtypes but the first have the
    shape of the exact questions, for which frameworks compile anyway.
    """
    assert run.contract is not None
    first: TargetError | None = None
    for dtype in bench.dtypes:
        try:
            if dtype == bench.first:
                _first_refusal(run.contract, bench)
            elif (refused := _refusal(bench, dtype, 33, 65, 3)) and _refusal(bench, dtype, 3, 5, 2):
                bench.refused[dtype] = refused
        except TargetError as error:
            if not isinstance(error.__cause__, Refused) or error.__cause__.where != "call":
                raise
            first, bench.refused[dtype] = error, str(error.__cause__)
    if first is not None and len(bench.refused) == len(bench.dtypes):
        raise first
    if bench.refused:
        bench.dtypes = tuple(d for d in bench.dtypes if d not in bench.refused)
        run.traits["refused dtypes"] = ", ".join(bench.refused)


def _refusal(bench: Bench, dtype: str, *sizes: int) -> str:
    """The words with which a layer refuses a training call in a dtype; empty where it does not."""
    try:
        Layer(bench, (bench.contract.rates or (0.3,))[0], dtype).call(probe(bench.contract.pattern, dtype, *sizes))
    except Refused as refused:
        return "" if refused.where == "unsupported" else str(refused)
    return ""


def _unasked(run: Run, bench: Bench) -> list[Finding]:
    """Of each check but the one that tells of it, that a refused dtype was not asked; an error where that one is not selected."""
    told = run.has(SHAPE)
    words = "{}: the layer refuses {}; --dtype {} leaves it out"
    return [
        finding(
            check,
            dtype,
            "skipped" if told else "error",
            words.format(follows(SHAPE) if told else "not judged", dtype, ",".join(bench.dtypes)),
        )
        for dtype in bench.refused
        for check in run.checks
        if check.name != SHAPE
    ]


def _beside(run: Run, everything: Sequence[Gathered]) -> None:
    """The product (1 - measured rate) x scale beside the scale: 1 where expectation is kept, whatever each is alone."""
    if run.contract is not None and run.contract.affine:
        return  # what is dropped counts for the mean, too
    shown = run.traits.get("scale rounding", {})
    for key, trait in shown.items():
        dtype, _, rate = key.partition(" rate=")
        some = [
            g for g in everything if g.case.dtype == dtype and f"{g.case.rate:g}" == rate and g.case.regime == "stream"
        ]
        coins = sum(g.tally.coins for g in some)
        if coins:
            measured = sum(g.tally.dropped for g in some) / coins
            trait["kept_times_scale"] = (1 - measured) * trait["factor"]


def _target_result(run: Run, error: str | None, details: str | None, skipped: str | None) -> TargetResult:
    verdict = results.verdict_of(run.findings, error)
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
        skipped=skipped,
        coins=run.coins,
        ledger=evidence_over_runs.line(run.entry, run.findings),
        source=run.source,
        planned=_plan(run) if skipped is None else None,
        fault=run.broke,
    )


def _plan(run: Run) -> dict[str, list[str]]:
    """What belongs to the result: every finding that was made, and all of a case that was asked and has none."""
    made = {one.case for one in run.findings}
    lost = [
        (check.name, str(case))
        for case, some in run.asked.items()
        if str(case) not in made
        for check in some
        if check.judge
    ]
    return results.planned(run.findings, lost)
