"""Every planted defect and every unusual correct layer, audited with all checks: what catches what, after how many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import Check
from dropcheck.results.audit import Finding, Verdict, overall
from dropcheck.results.plain_text import count as counted
from dropcheck.results.selftest import Clock, Layer, Owner, Promise
from dropcheck.selftest.work import Item

SECONDS = {"quick": 12.0, "standard": 50.0, "deep": 600.0}  # rough cost of one layer
LEAST_QUICK = 0.95  # the share of planted defects that quick promises to catch; finer profiles promise all
OF_MODELS = tuple(c for c in CHECKS if c.judge is None and c.observe is None and c.compare is None)
IN_PROCESS = ("numpy", "torch", "torch-function")


def names() -> dict[str, str | None]:
    """Layers that can run here, with the check that the defect names (None: a correct layer)."""
    from dropcheck.plan import targets

    try:
        from spatial_dropouts import broken
    except ImportError as error:
        raise UsageError(f"the collection of known defects is not installed: {error}") from error
    # a Keras defect is asked on the backend where it lives
    named = {f"broken.{d.name}" + (f"@{d.backend}" if d.backend else ""): d.check for d in broken.DEFECTS}
    found: dict[str, str | None] = {}
    for row in targets.available(zoo=True):
        if row.runnable and (row.name in named or row.name.startswith("unusual.")):
            found[row.name] = named.get(row.name)
    return found


def asked_strictly() -> frozenset[str]:
    """Defects that only ``--strict`` calls so: they are audited with it."""
    from spatial_dropouts import broken

    return frozenset(d.target for d in broken.DEFECTS if d.strict)


def beside() -> dict[str, tuple[str, ...]]:
    """The layer of each planted defect: further checks that its record names."""
    from spatial_dropouts import broken

    return {f"broken.{d.name}" + (f"@{d.backend}" if d.backend else ""): d.beside for d in broken.DEFECTS}


def surplus(layers: Sequence[Layer]) -> dict[str, list[str]]:
    """Planted defects whose failing checks are more than those of their record: the checks that it does not name."""
    recorded = beside()
    found = {}
    for one in layers:
        more = [c for c in one.failing if c != one.names and c not in recorded.get(one.layer, ())]
        if one.names is not None and more:
            found[one.layer] = more
    return found


def items(seed: int, scale: float, profiles: Sequence[str]) -> list[Item]:
    """One audit of one layer each; at a small scale, every so many layers only."""
    layers = list(names())
    step = max(1, round(1 / max(1e-6, scale)))
    found = []
    for profile in profiles:
        for layer in layers[::step]:
            arguments = {"layer": layer, "profile": profile, "seed": seed}
            found.append(Item(f"zoo/{profile}/{layer}", "zoo:audited", arguments, SECONDS[profile]))
    return found


def audited(layer: str, profile: str, seed: int) -> dict[str, Any]:
    """Audit one layer with all checks; each check's decision is timed where it is made."""
    from dropcheck.auditing.state import TargetAudit
    from dropcheck.auditing.target import audit_target
    from dropcheck.plan.request import AuditRequest, prepare

    names_check = names().get(layer)
    request = AuditRequest(
        targets=(layer,),
        profile=profile,
        seed=seed,
        jobs=1,
        in_process=framework(layer) in IN_PROCESS,
        strict=layer in asked_strictly(),
    )
    (target,), checks = prepare(request)
    began = time.monotonic()
    made: dict[str, float] = {}

    def note(found: Sequence[Finding]) -> None:
        for one in found:
            if one.verdict == "fail":
                made.setdefault(one.check, time.monotonic() - began)

    result = audit_target(TargetAudit(target, request, [_timed(c, note) for c in checks], None)).result
    wall = time.monotonic() - began
    worst: dict[str, list[Verdict]] = {}
    for one in result.findings:
        worst.setdefault(one.check, []).append(one.verdict)
    verdicts = {c.name: overall(worst[c.name]) for c in CHECKS if c.name in worst}
    failing = [c for c, v in verdicts.items() if v == "fail"]
    evidence = [f.log10_evidence for f in result.findings if f.verdict == "fail" and f.log10_evidence is not None]
    # a failure that is not interpretable beside a more basic one is not what a user would see first
    times = {c: made.get(c, wall) for c in failing}
    first = min(times, key=lambda c: times[c]) if times else None
    record = Layer(
        layer=layer,
        profile=profile,
        names=names_check,
        verdict=result.verdict,
        verdicts=verdicts,
        failing=sorted(failing),
        also=sorted(set(made) - set(failing)),
        log10_evidence=min(evidence, default=None),
        # which of several exact questions comes first is a matter of scheduling; the register's order is not
        first=next((c.name for c in CHECKS if c.name in failing), None),
        error=result.error,
        coins=result.coins,
    )
    clock = Clock(
        layer=layer,
        profile=profile,
        first_s=times[first] if first is not None else None,
        own_s=times.get(names_check) if names_check is not None else None,
        wall_s=wall,
    )
    return {"layer": msgspec.to_builtins(record), "clock": msgspec.to_builtins(clock)}


def framework(layer: str) -> str:
    from dropcheck.plan import targets

    return next((r.framework for r in targets.available(zoo=True) if r.name == layer), "")


def _timed(check: Check, note: Callable[[Sequence[Finding]], None]) -> Check:
    """The same check; ``note`` sees what it decides, when it decides it."""
    judge, observe, compare = check.judge, check.observe, check.compare

    def judging(c: Check, got: Any, limits: Any) -> Finding | None:
        assert judge is not None
        one = judge(c, got, limits)
        note([one] if one is not None else [])
        return one

    def observing(c: Check, bench: Any, limits: Any) -> list[Finding]:
        assert observe is not None
        some = observe(c, bench, limits)
        note(some)
        return some

    def comparing(c: Check, everything: Any, limits: Any) -> list[Finding]:
        assert compare is not None
        some = compare(c, everything, limits)
        note(some)
        return some

    return replace(
        check,
        judge=judging if judge is not None else None,
        observe=observing if observe is not None else None,
        compare=comparing if compare is not None else None,
    )


def owners(layers: Sequence[Layer]) -> list[Owner]:
    """For every check the defects that only it catches, and those that name it but that others catch too.

    Not of the checks that are asked of whole models alone: no layer can fail them.
    """
    defects = [one for one in layers if one.names is not None]
    found = []
    for check in CHECKS:
        if check in OF_MODELS:
            continue
        only = sorted({d.layer for d in defects if d.failing == [check.name]})
        shared = {
            d.layer: [c for c in d.failing if c != check.name]
            for d in defects
            if d.names == check.name and check.name in d.failing and d.layer not in only
        }
        found.append(Owner(check=check.name, only=only, shared=shared))
    return found


def conclude(
    values: Mapping[str, Any], whole: bool
) -> tuple[list[Layer], list[Clock], list[Owner], dict[str, dict[str, list[str]]], list[Promise]]:
    """The table, seconds, owners, signatures by profile, promises. ``whole``: every layer was audited, so none may be idle."""
    layers = [msgspec.convert(v["layer"], Layer) for _, v in sorted(values.items())]
    clocks = [msgspec.convert(v["clock"], Clock) for _, v in sorted(values.items())]
    profiles = list(dict.fromkeys(one.profile for one in layers))
    signatures: dict[str, dict[str, list[str]]] = {}
    promises: list[Promise] = []
    for profile in profiles:
        some = [one for one in layers if one.profile == profile]
        signatures[profile] = {one.layer: one.failing for one in some if one.names is not None}
        promises.extend(_promises(profile, some))
    table = owners([one for one in layers if one.profile == profiles[0]]) if profiles else []
    if whole and profiles:
        idle = [o.check for o in table if not o.only]
        bare = [c for c in idle if not next(o for o in table if o.check == c).shared]
        text = f"{len(table) - len(idle)} of {len(table)} checks detect a defect that no other check detects"
        text += f" (profile {profiles[0]})"
        strictly = sorted(o.check for o in table if o.only and asked_strictly().issuperset(o.only))
        if strictly:
            text += f"; only with --strict: {', '.join(strictly)}"
        if OF_MODELS:
            text += f"; not counted, since they are asked of whole models: {', '.join(c.name for c in OF_MODELS)}"
        if idle:
            text += f"; without such a defect: {', '.join(idle)}"
        if bare:
            text += f"; without any detected defect: {', '.join(bare)}"
        promises.append(Promise(part="zoo", name="each check is needed", held=not idle, n=len(table), text=text))
    return layers, clocks, table, signatures, promises


def _promises(profile: str, some: Sequence[Layer]) -> list[Promise]:
    defects = [one for one in some if one.names is not None]
    correct = [one for one in some if one.names is None]
    missed = [one for one in defects if not one.failing]
    other = [one for one in defects if one.failing and one.names not in one.failing]
    accused = [one for one in correct if one.verdict not in ("pass", "skipped")]
    share = 1 - len(missed) / max(1, len(defects))
    least = LEAST_QUICK if profile == "quick" else 1.0
    found = [
        Promise(
            part="zoo",
            name=f"known defects are detected in {profile}",
            held=share >= least,
            n=len(defects),
            text=f"{len(defects) - len(missed)} of {len(defects)} known defects are detected in {profile}, at least {least:.0%} "
            "guaranteed" + (f"; missed: {', '.join(one.layer for one in missed)}" if missed else ""),
        ),
        Promise(
            part="zoo",
            name=f"known defects are detected by the expected check in {profile}",
            held=not other,
            n=len(defects) - len(missed),
            text=f"{len(defects) - len(missed) - len(other)} of {len(defects) - len(missed)} detected defects fail the "
            "expected check"
            + "".join(f"; {one.layer}: {one.names} was expected, it fails {', '.join(one.failing)}" for one in other),
        ),
    ]
    more = surplus(defects)
    count = sum(map(len, more.values()))
    found.append(
        Promise(
            part="zoo",
            name=f"known defects fail no other checks than expected in {profile}",
            held=not more,
            n=len(defects),
            text=f"{len(defects) - len(more)} of {len(defects)} known defects fail no check that was not expected"
            + (f"; {counted(count, 'such failure')}" if more else "")
            + "".join(f"; {layer}: {', '.join(checks)}" for layer, checks in sorted(more.items())),
        )
    )
    if correct:
        found.append(
            Promise(
                part="zoo",
                name=f"unusual correct layers pass in {profile}",
                held=not accused,
                n=len(correct),
                text=f"{len(correct) - len(accused)} of {len(correct)} unusual correct layers pass everything in {profile}"
                + "".join(f"; {one.layer}: {one.error or ', '.join(_bad(one))}" for one in accused),
            )
        )
    return found


def _bad(one: Layer) -> list[str]:
    return [f"{c} {v}" for c, v in one.verdicts.items() if v not in ("pass", "skipped")]
