"""One target's audit: open it, ask the exact questions, have its units counted, judge its cases in order."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

import msgspec

from dropcheck.auditing import executors, observing, over_runs, sequential
from dropcheck.auditing.dispatch import count_all
from dropcheck.auditing.exact_part import Lent, bench_of, exact_results, refused_dtypes, unasked
from dropcheck.auditing.state import Advance, Found, Opened, Outcome, TargetAudit
from dropcheck.auditing.whole_model import whole_model
from dropcheck.contract.errors import UsageError
from dropcheck.contract.modes import RANKED
from dropcheck.contract.promise import Contract, ContractError
from dropcheck.count.gathered import Gathered
from dropcheck.judge import following
from dropcheck.judge.checks import returned_weights
from dropcheck.judge.checks.base import finding, plain
from dropcheck.judge.checks.seed_processes import first_masks, unseeded_digest
from dropcheck.judge.diagnosis.seen import OBSERVED
from dropcheck.judge.verdicts import interpret
from dropcheck.plan import opening
from dropcheck.plan.plan import asked_cases
from dropcheck.results import audit as results
from dropcheck.results.audit import Finding, TargetResult, Timing
from dropcheck.worker.client import Refused, Session, TargetError
from dropcheck.worker.sessions import SessionPool, opened_pool


def audit_target(audit: TargetAudit, cluster: Executor | None = None) -> Outcome:
    """One target's audit; never raises: what goes wrong is that target's verdict."""
    error = details = skipped = None
    usage, broke = "", False
    opened: Opened | None = None
    found = Found()
    # the limit is a target's own: waiting for a free core does not count
    advance = Advance(audit.target.name, audit.progress)
    if audit.target.skip:
        return Outcome(_target_result(audit, opened, found, advance, skipped=audit.target.skip), audit.kept_as(None))
    if audit.target.sites is not None:
        return whole_model(audit, audit.target.sites)
    if audit.target.note:
        found.traits["in the model"] = audit.target.note
    try:
        advance.tell("starting", done=0.0)
        # a second process, started early so that its imports overlap: it answers for fresh processes, then it counts
        spare = audit.has("seed.reproducible") and not audit.request.in_process
        capacity = 1 if audit.request.in_process else max(audit.sessions, 2 if spare else 1)
        spec = opening.of_request(audit.target, audit.request)
        with opened_pool(spec, capacity, advance.began + audit.request.timeout_s) as pool:
            primary, second = _started(audit, pool, spare)
            found.info = primary.collect()
            opened = Opened(audit, audit.request, found.info, Contract.from_dict(found.info["contract"]), pool)
            opened = _registered(opened.asking())
            _examine(opened, found, advance, primary, second, cluster)
    except Refused as refused:
        sentence = _open_failure(refused)
        error, details = sentence, "\n".join(refused.lines)
        if refused.where == "open" and refused.kind == "Unsupported" and not found.findings:
            error, details, skipped = None, None, refused.message
        if refused.where == "open" and refused.kind in ("TargetNotFound", "NoDropout"):
            usage, details = sentence, None  # the sentence says it all
        elif refused.where == "open" and refused.kind != "Unsupported" and audit.target.source == "user":
            usage = "\n    ".join([sentence, *refused.lines])
    except TargetError as ended:
        error, details = str(ended), ended.details
        broke = ended.fault
        if ended.usage:
            usage = error
    except (ContractError, UsageError) as bad:
        error = usage = str(bad)
    except Exception as bug:  # a fault of the suite must cost one target, and must not look like the layer's
        broke = True
        error, details = f"dropcheck itself failed: {type(bug).__name__}: {bug}", traceback.format_exc()
    entry = opened.entry if opened is not None else None
    if error is not None and entry is None and not found.findings:
        # each finding has its own part of alpha, whatever else was to come
        found.findings = interpret(found.so_far, found.beside)
    if error is not None and entry is not None and not entry.told:
        found.findings = over_runs.untold(found.findings)
    left_open = over_runs.leave(entry)
    if left_open:
        error = f"{error}; {left_open}" if error is not None else left_open
    result = _target_result(audit, opened, found, advance, error, details, skipped, broke)
    advance.tell("failed" if result.verdict in ("fail", "error") else "finished", result.verdict, done=1.0)
    kept_as = opened.kept_as if opened is not None else audit.kept_as(None)
    return Outcome(result, kept_as, opened, found.asked, usage, broke)


def _open_failure(refused: Refused) -> str:
    if refused.where == "open":
        return refused.message or str(refused)
    return f"the layer raised {refused} ({refused.where})"


def _started(audit: TargetAudit, pool: SessionPool, spare: bool) -> tuple[Session, Lent | None]:
    """The first session, and a second one where ``spare`` asks for it and it starts."""
    primary = pool.start()
    second = None
    if spare:
        try:
            second = Lent(pool.start(), pool)
        except TargetError:
            second = None
    if audit.sessions > 1:
        pool.warm()
    return primary, second


def _registered(opened: Opened) -> Opened:
    """With its run in the ledger, if there is one. Raises UsageError."""
    known = over_runs.identity(opened.request, opened.info, opened.contract, opened.checks, opened.audit.source)
    request, entry = over_runs.begin(opened.request, opened.name, known)
    return replace(opened, request=request, entry=entry)


def _examine(
    opened: Opened, found: Found, advance: Advance, primary: Session, second: Lent | None, cluster: Executor | None
) -> None:
    """All checks of one target."""
    info, contract, pool = opened.info, opened.contract, opened.pool
    if opened.audit.target.mode in RANKED and info["framework"] == "torch":
        asks = "seed.reproducible asks" if contract.replicas else "mask.distinct-samples asks"
        found.traits["ranks"] = f"seeded apart: rank 1 has the seed + 2**31; {asks} ranks that are seeded alike, too"
    if info.get("guessed"):
        found.traits["framework"] = info["guessed"]
    if widest := info.get("widest"):
        found.traits["channels left out"] = (
            f"cases have at most {widest} channels: the cost of a call grows with their square"
        )
    bench = bench_of(opened, found, primary, second)
    if not bench.dtypes:
        return
    if words := returned_weights.told(bench):
        found.traits[returned_weights.TRAIT] = words
    if second is not None:
        bench.unseeded = unseeded_digest(bench)
        bench.begun = first_masks(bench, bench.seed)
    refused_dtypes(opened, found, bench)
    info = {**info, "dtypes": [d for d in info["dtypes"] if d not in bench.refused]}
    found.start_s = time.monotonic() - advance.began  # with the first call, in which frameworks load and compile
    asked = asked_cases(opened.request, opened.name, opened.checks, contract, info, primary, advance.began)
    found.asked = asked
    ends = sequential.plans(opened.request, contract, asked)
    with executors.local(pool.capacity, opened.request.in_process) as executor:
        exact = executor.submit(exact_results, opened, found, advance, bench, primary, second)
        try:
            everything, judged = count_all(
                opened, found, advance, asked, ends, cluster or executor, cluster is not None
            )
        except BaseException:
            pool.abort()
            raise
        found.findings = exact.result() + [one for some in judged for one in some]
    for check in opened.checks:
        if check.compare is not None and not contract.pattern.apart:
            limits = check.limits(opened.request.profile, None, opened.request.strict, opened.request.resolution)
            # what ended when its own rate was decided is no fair sample for a comparison
            whole = [got for got in everything if got.case not in ends]
            found.findings.extend(opened.replayable(f, None) for f in check.compare(check, whole, limits))
    found.findings.extend(opened.replayable(f, None) for f in unasked(opened, bench))
    found.findings.extend(finding(c, "exact", "skipped", info["fixed"][c.name]) for c in opened.fixed)
    _beside(opened, found, everything)
    found.findings = over_runs.judged(opened.entry, found.findings, asked, opened.request, opened.name)
    found.findings = following.withheld(interpret(found.findings, found.beside), found.beside)
    if opened.request.causes and any(f.verdict == "fail" for f in found.findings):
        _explain(opened, found, advance)


def _in_the_model(one: Finding, note: str) -> Finding:
    """A failure whose cause was seen in the model: coins along another axis than that of the channels."""
    family = one.check.partition(".")[0]
    if one.verdict == "fail" and "channels are on" in note and family in ("mask", "form", "gradient"):
        return msgspec.structs.replace(one, cause=note, defect="wrong axis in the model")
    return one


def _explain(opened: Opened, found: Found, advance: Advance) -> None:
    """For what fails: the likely cause, and the smallest case that still fails. A correct layer costs nothing here."""
    from dropcheck.auditing import smallest_case
    from dropcheck.judge import causes

    pool = opened.pool
    advance.left = None  # how long that takes is not known
    advance.tell("running", "smallest failing cases")
    found.findings = [_in_the_model(one, opened.audit.target.note) for one in causes.named(found.findings)]
    try:
        session = pool.acquire()
    except (TargetError, Refused):  # the findings stand without their smallest cases
        return
    if (pattern := observing.observed(found.findings, session, opened.info, opened.contract)) is not None:
        found.traits[OBSERVED] = pattern
    words = opened.alpha_of_words
    found.findings, whole = smallest_case.shrunk(
        found.findings,
        session,
        pool.spec,
        opened.contract,
        opened.request,
        opened.name,
        opened.checks,
        words,
        bool(opened.info.get("heavy")),
    )
    (pool.release if whole else pool.discard)(session)


def _beside(opened: Opened, found: Found, everything: Sequence[Gathered]) -> None:
    """The product (1 - measured rate) x scale beside the scale: 1 where expectation is kept, whatever each is alone."""
    if opened.contract.affine:
        return  # what is dropped counts for the mean, too
    shown = found.traits.get("scale rounding", {})
    for key, trait in shown.items():
        dtype, _, rate = key.partition(" rate=")
        some = [
            g for g in everything if g.case.dtype == dtype and f"{g.case.rate:g}" == rate and g.case.regime == "stream"
        ]
        coins = sum(g.tally.coins for g in some)
        if coins:
            measured = sum(g.tally.dropped for g in some) / coins
            trait["kept_times_scale"] = (1 - measured) * trait["factor"]


def _target_result(
    audit: TargetAudit,
    opened: Opened | None,
    found: Found,
    advance: Advance,
    error: str | None = None,
    details: str | None = None,
    skipped: str | None = None,
    broke: bool = False,
) -> TargetResult:
    verdict = results.verdict_of(found.findings, error)
    return TargetResult(
        target=audit.target.name,
        framework=found.info.get("framework", ""),
        version=found.info.get("version", ""),
        contract=opened.contract.to_dict() if opened is not None else {},
        verdict=verdict,
        timing=Timing(
            start_s=found.start_s,
            bare_s=found.clock.bare_s,
            gather_s=found.clock.gather_s,
            tally_s=found.clock.tally_s,
            judge_s=found.clock.judge_s,
            wall_s=time.monotonic() - advance.began,
        ),
        traits=plain(found.traits),
        findings=found.findings,
        error=error,
        details=details,
        skipped=skipped,
        coins=found.coins,
        ledger=over_runs.line(opened.entry if opened is not None else None, found.findings),
        source=audit.source,
        planned=_plan(found) if skipped is None else None,
        fault=broke,
    )


def _plan(found: Found) -> dict[str, list[str]]:
    """What belongs to the result: every finding that was made, and all of a case that was asked and has none."""
    made = {one.case for one in found.findings}
    lost = [
        (check.name, str(case))
        for case, some in found.asked.items()
        if str(case) not in made
        for check in some
        if check.judge
    ]
    return results.planned(found.findings, lost)
