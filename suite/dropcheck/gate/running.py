"""Evidence made now: the audits and the bench that a policy asks for, as the commands of these names make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dropcheck.contract.errors import UsageError
from dropcheck.gate.policy import Policy, Sourced, Speed
from dropcheck.gate.records import Evidence

if TYPE_CHECKING:
    from dropcheck.plan.request import AuditRequest
    from dropcheck.results.audit import Result
    from dropcheck.results.bench import BenchResult

Accept = Callable[["Result"], "Result"]  # an audit as the waivers leave it
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Run:
    """How evidence is made; nothing here changes what a policy asks for."""

    seed: int
    jobs: int = 0
    timeout_s: float = 600.0
    shown: Callable[[], AbstractContextManager[Any]] = nullcontext  # enters what is told of an audit's events


def evidence(sourced: Sourced, run: Run, accept: Accept, tell: Tell | None = None) -> Evidence:
    """Audits, then the bench beside them. A policy that selects nothing makes no evidence.

    Raises UsageError for what cannot be run, KeyboardInterrupt where a run was stopped: half of it decides nothing.
    """
    policy = sourced.policy
    if not policy.targets:
        return Evidence()
    if policy.speed is not None and policy.patterns:
        raise UsageError(
            f"{sourced.origin('patterns')}: a bench has one pattern, so the gate cannot measure the speed of a policy with "
            "[patterns]; measure it apart by `dropcheck bench` and give the results by --from"
        )
    audits = [one for device in policy.devices for one in _audits(sourced, run, device)]
    benches = []
    if policy.speed is not None:
        for place, device in enumerate(policy.devices):
            benches.append(_bench(policy, policy.speed, run, device, accept(audits[place][1]), tell))
    return Evidence(tuple(audits), tuple(benches))


def _audits(sourced: Sourced, run: Run, device: str) -> list[tuple[str, Result]]:
    """An audit a pattern, since an audit has one."""
    from dropcheck.auditing import run as auditing

    policy = sourced.policy
    made: list[tuple[str, Result]] = []
    for pattern in dict.fromkeys(policy.patterns.get(name) for name in policy.targets):
        names = tuple(name for name in policy.targets if policy.patterns.get(name) == pattern)
        request = auditing.AuditRequest(
            targets=names,
            profile=policy.profile,
            # speed stands only beside an audit of everything
            select=() if policy.speed is not None else sourced.checks,
            dtypes=policy.dtypes,
            pattern=pattern,
            device=device,
            strict=policy.traits,
            fail_on=policy.fail_on,
            seed=run.seed,
            seed_given=True,
            jobs=run.jobs,
            timeout_s=run.timeout_s,
        )
        request = replace(request, argv=_command(request, names))
        with run.shown() as progress:
            result = auditing.run(request, progress)
        if result.interrupted:
            raise KeyboardInterrupt
        made.append((" ".join(["made now", f"on {device}", *([f"as {pattern}"] if pattern else [])]), result))
    return made


def _command(request: AuditRequest, names: Sequence[str]) -> tuple[str, ...]:
    """The audit that this is, so that a stored result says what was asked of it."""
    from dropcheck.plan import audit_options

    told = ("--profile", "--seed", "--device", "--dtype", "--pattern", "--strict")
    return ("audit", *names, *audit_options.words(request, told, always=("--profile", "--seed")))


def _bench(
    policy: Policy, wanted: Speed, run: Run, device: str, audited: Result, tell: Tell | None
) -> tuple[str, BenchResult]:
    """The bench of one device, beside the audit that was just made; only a reference that it lacks is audited now."""
    from dropcheck.auditing import run as auditing
    from dropcheck.results.audit import merged
    from dropcheck.speed.run import BenchRequest
    from dropcheck.speed.run import run as bench

    def audit(names: Sequence[str]) -> Result:
        known = {one.target for one in audited.targets}
        missing = tuple(name for name in names if name not in known)
        if not missing:
            return audited
        more = auditing.run(auditing.AuditRequest(targets=missing, device=device, causes=False, jobs=run.jobs))
        return merged([audited, more])

    first = (wanted.reference,) if wanted.reference is not None else ()
    names = (*first, *(name for name in policy.targets if name != wanted.reference))
    request = BenchRequest(
        targets=names,
        profile=wanted.profile,
        cells=wanted.cells,
        dtypes=policy.dtypes,
        reference=wanted.reference,
        device=device,
        seed=run.seed,
        argv=("bench", *names, "--profile", wanted.profile, "--seed", str(run.seed)),
    )
    result = bench(request, tell, audit=audit)
    if result.interrupted:
        raise KeyboardInterrupt
    return f"made now on {device}", result
