"""The audit: targets side by side, each finished one on disk at once, and one result of all."""

from __future__ import annotations

import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial

from dropcheck.auditing import executors, journal
from dropcheck.auditing.finished_units import Store, held
from dropcheck.auditing.ledger import Ledger
from dropcheck.auditing.machine import describe, processors
from dropcheck.auditing.state import Outcome, TargetAudit
from dropcheck.auditing.target import audit_target
from dropcheck.contract.errors import UsageError
from dropcheck.judge.checks.base import ALPHA, BETA, Check
from dropcheck.plan import models, opening, targets
from dropcheck.plan.plan import PlannedCase, TargetPlan, plan_target
from dropcheck.plan.request import DEFAULT_SEED, AuditRequest, Event, Progress, asked, fingerprint, prepare, recorded
from dropcheck.results import audit as results
from dropcheck.results.audit import Result, TargetResult
from dropcheck.worker import sessions, stems

MANY = 8  # targets that are looked at one by one before the first starts, so that a line says so at once

__all__ = ["DEFAULT_SEED", "AuditRequest", "Event", "PlannedCase", "Progress", "TargetPlan", "plan", "run"]


def run(request: AuditRequest, progress: Progress | None = None) -> Result:
    """Audit all targets of a request. Raises UsageError for what cannot be run; everything else is in the result.

    Ctrl-C returns what is finished as an interrupted result.
    """
    if progress is not None and len(request.targets) > MANY:
        progress(Event("", 0.0, 0.0, None, "preparing", f"preparing {len(request.targets)} targets"))
    chosen, checks = prepare(request)
    if progress is not None and not request.targets and len(chosen) > MANY:
        progress(Event("", 0.0, 0.0, None, "preparing", f"preparing {len(chosen)} targets"))
    chosen = _built(chosen, request, progress)
    chosen = _opened(chosen, request, checks)
    if request.ledger is not None:
        Ledger(request.ledger).check()
    sources = {t.name: t.digest() for t in chosen}
    finished, store = _kept(request, checks, sources)
    todo = [t for t in chosen if t.name not in finished]
    interrupted = ended = False
    wanted = request.jobs or min(processors(), 8)
    jobs = min(len(todo), wanted) or 1
    share = max(1, wanted // max(1, len(todo)))
    outcomes: dict[str, Outcome] = {}
    alike = [opening.of_request(target, request).begin() for target in todo] if len(todo) > 1 else []
    with executors.cluster(request.dask) as cluster, stems.shared(alike):
        pool = ThreadPoolExecutor(jobs)
        futures: dict[Future[Outcome], targets.Target] = {}
        try:
            for target in todo:
                asking = TargetAudit(target, request, checks, progress, share, store, sources[target.name])
                futures[pool.submit(audit_target, asking, cluster)] = target
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    outcome = future.result()
                    one = outcome.result
                    finished[one.target], outcomes[one.target] = one, outcome
                    if request.journal is not None and store is not None:
                        journal.append(request.journal, one, sources[one.target])
                        if pending or _broke(outcomes):  # else the file itself goes, which takes no time
                            store.forget(outcome.kept_as)
            ended = True
        except KeyboardInterrupt:
            interrupted = True
            for future in futures:
                future.cancel()
            sessions.abort_all()
        finally:
            # in this process nothing may go on drawing once the caller has its generators back
            pool.shutdown(wait=not interrupted or request.in_process, cancel_futures=True)
            if store is not None and not interrupted:
                # where the suite itself failed, what was counted stays for --resume
                store.close(remove=ended and not _broke(outcomes))
    usages = [outcomes[t.name].usage if t.name in outcomes else "" for t in todo]
    if todo and all(usages):
        raise UsageError(usages[0])
    return _result(request, [finished[t.name] for t in chosen if t.name in finished], interrupted)


def _kept(
    request: AuditRequest, checks: list[Check], sources: dict[str, str]
) -> tuple[dict[str, TargetResult], Store | None]:
    """What an interrupted run has finished, and where this one keeps its units; nothing and None without a journal."""
    if request.journal is None:
        return {}, None
    mark = fingerprint(request, checks)
    finished = journal.read(request.journal, mark, sources) if request.resume else {}
    journal.begin(request.journal, mark, finished.values(), sources)
    place = request.journal.with_name(request.journal.name + ".units")
    if not request.resume:
        if left := held(place):  # only the command has journals: it may speak
            print(
                f"dropcheck: {left} finished unit{'s' if left > 1 else ''} of a run that was killed, in {place}, "
                f"{'are' if left > 1 else 'is'} discarded; --resume would go on from there",
                file=sys.stderr,
            )
        place.unlink(missing_ok=True)
    return finished, Store(place, mark)


def _result(request: AuditRequest, ordered: list[TargetResult], interrupted: bool) -> Result:
    """The result of all targets. Its root seed is that of the request, or the one that a ledger chose for all."""
    seeds = {t.ledger.seed for t in ordered if t.ledger is not None}
    return Result(
        verdict=results.overall([t.verdict for t in ordered]),
        environment=describe(),
        argv=list(request.argv),
        profile=request.profile,
        seed=seeds.pop() if len(seeds) == 1 else request.seed,
        alpha=ALPHA,
        beta=BETA,
        targets=ordered,
        interrupted=interrupted,
        asked=asked(request),
        device=request.device,
        request=recorded(request),
    )


def _broke(outcomes: dict[str, Outcome]) -> bool:
    """Whether the suite itself failed at a target."""
    return any(one.broke for one in outcomes.values())


def _opened(chosen: list[targets.Target], request: AuditRequest, checks: list[Check]) -> list[targets.Target]:
    """The targets, each model replaced by its layers and its sites, as far as a selected check asks them."""
    chosen = models.expanded(chosen, request.input, request.python, request.in_process, request.device)
    of_models = any(check.sites is not None for check in checks)
    of_layers = any(check.sites is None for check in checks)
    inside = {t.name for t in chosen if t.sites is not None}
    return [
        t for t in chosen if (of_models if t.sites is not None else of_layers or t.name.partition("#")[0] not in inside)
    ]


def _built(chosen: list[targets.Target], request: AuditRequest, progress: Progress | None) -> list[targets.Target]:
    """The targets with the interpreters of their environments, built where needed. Raises environments.BuildError."""
    from dropcheck.plan import release_environments

    def tell(target: str, message: str) -> None:
        if progress is not None:
            progress(Event(target, 0.0, 0.0, None, "starting", message))

    return [release_environments.placed(t, request.python, partial(tell, t.name)) for t in chosen]


def plan(request: AuditRequest) -> list[TargetPlan]:
    """What the request would run: cases, coins, seconds and resolution, after timing a few calls of each target."""
    chosen, checks = prepare(request)
    chosen = _built(chosen, request, None)
    chosen = [t for t in _opened(chosen, request, checks) if t.sites is None]  # a whole model draws no coins
    return [plan_target(target, request, checks) for target in chosen]
