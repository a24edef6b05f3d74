"""Speed: ratios within one run and shares of the physical limit, from the raw samples, against what the policy allows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dropcheck.gate.bounding import COMPILE, LIMIT, MEMORY, RATIO, bounded, counted, figure
from dropcheck.gate.correctness import Asked, missing_counts, required_targets
from dropcheck.gate.decision import Counts, Line
from dropcheck.gate.evidence import model_of, of_target, old, rank, squeezed
from dropcheck.gate.policy import PROFILES, Speed
from dropcheck.gate.releases import other_release
from dropcheck.gate.sampling import control, damage, of_limit
from dropcheck.results.asked import option
from dropcheck.results.audit import TargetResult, Timing
from dropcheck.results.plain_text import line

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult, BenchTarget
    from dropcheck.results.bench import Speed as Measured
    from dropcheck.speed.summary import Index


def judge(asked: Asked) -> Iterator[Line]:
    """All lines about speed; none where the policy asks for none."""
    wanted = asked.sourced.policy.speed
    if wanted is None:
        return
    for device in asked.sourced.policy.devices:
        for name in required_targets(asked):
            if name != wanted.reference:
                yield from _target(asked, wanted, name, device)


def _target(asked: Asked, wanted: Speed, name: str, device: str) -> Iterator[Line]:
    found = [
        (file, bench, one)
        for file, bench in asked.evidence.benches
        for one in bench.targets
        if of_target(name, one.target) and bench.device == device
    ]
    rule, again = asked.sourced.rule("speed"), line(_command(wanted, name, device), 1000)
    counts = missing_counts(asked.sourced, False)
    unfit = f"there is no bench of it on {device}"
    suited = False
    for file, bench, one in found:
        problem, why = unsuited(asked, wanted, bench, one)
        if problem:
            unfit, rule = f"the bench in {line(file)} is no evidence: {line(problem)}", why
            continue
        suited = True
        yield from _cells(asked, wanted, bench, one, again)
    if not suited:
        yield figure(asked, "gate.evidence", counts, unfit, rule, target=name, device=device, again=again)


def _command(wanted: Speed, name: str, device: str) -> str:
    words = ["dropcheck", "bench", *([wanted.reference] if wanted.reference else []), name]
    words += ["--profile", wanted.profile] + (["--device", device] if device != "cpu" else [])
    return shlex.join(words)


def unsuited(asked: Asked, wanted: Speed, bench: BenchResult, one: BenchTarget) -> tuple[str, str]:
    """Why a bench is no evidence, and the policy line; empty texts where it is."""
    sourced = asked.sourced
    if problem := old(sourced, bench.environment, asked.here):
        return problem, sourced.rule("max_age")
    standing = _standing(one.target, one.framework, one.version)
    if other := other_release(sourced, standing, bench.environment):
        return other
    if bench.interrupted:
        return "it was interrupted", sourced.rule("speed")
    if rank(bench.profile) < rank(wanted.profile):
        return f"its profile is {bench.profile}", sourced.rule("speed", "profile")
    if wanted.reference is not None and bench.reference != wanted.reference:
        return f"its reference is {bench.reference}", sourced.rule("speed", "reference")
    if one.error or one.skipped:
        return one.error or one.skipped or "", sourced.rule("speed")
    if one.audit is None:
        return "it names no audit", sourced.rule("speed")
    model = model_of(one.target)
    named = one.target if one.target in sourced.policy.patterns else model
    pattern = sourced.policy.patterns.get(named)
    if pattern is not None and squeezed(one.pattern) != squeezed(pattern):
        return f"it was timed as {one.pattern!r}, not as {pattern!r}", sourced.rule("patterns", named)
    if pattern is None and option(bench.argv, "--pattern"):
        return f"it was timed with --pattern {one.pattern!r}, which the policy does not name", sourced.rule("patterns")
    if not bench.samples:
        return "it has no sample", sourced.rule("speed")
    return "", ""


def _standing(name: str, framework: str, version: str) -> TargetResult:
    return TargetResult(
        target=name,
        framework=framework,
        version=version,
        contract={},
        verdict="pass",
        timing=Timing(),
        traits={},
        findings=[],
    )


def _cells(asked: Asked, wanted: Speed, bench: BenchResult, one: BenchTarget, again: str) -> Iterator[Line]:
    """A target in every cell that counts."""
    from dropcheck.contract.cells import parse_cell
    from dropcheck.speed import summary

    index = summary.index(bench.samples)
    cells = tuple(str(parse_cell(text)) for text in wanted.cells) or _planned(asked, wanted, bench)
    judged, command = 0, again
    for cell in cells:
        again = line(f"{command} --cell {shlex.quote(cell)}", 1000)
        if cell not in bench.cells:
            yield _missing(asked, bench, one, "the bench has no such cell", ("speed", "cells"), cell, again)
            judged += 1
            continue
        place = bench.cells.index(cell)
        found = next((s for s in bench.speeds if s.target == one.target and s.cell == place), None)
        if found is None or found.state in ("error", "disqualified"):
            why = f"{found.state}: {found.reason}" if found is not None else "it was not measured"
            yield _missing(asked, bench, one, line(why), ("speed",), cell, again)
            judged += 1
        elif found.state == "skipped":
            text = f"does not apply: {line(found.reason)}"
            yield figure(
                asked,
                "speed.ratio",
                "none",
                text,
                asked.sourced.rule("speed"),
                target=one.target,
                device=bench.device,
                case=cell,
            )
        else:
            judged += 1
            problem = damage(bench, index, one, place, found, wanted)
            if problem:
                yield _missing(asked, bench, one, problem, ("speed",), cell, again)
            else:
                yield from _cell(asked, wanted, bench, index, one, place, found, again)
    if not judged:
        yield _missing(asked, bench, one, "no cell applies: nothing is proven", ("speed",), "", command)
    if wanted.max_compile_ratio is not None:
        yield _compile(asked, wanted.max_compile_ratio, bench, one, command)


def _planned(asked: Asked, wanted: Speed, bench: BenchResult) -> tuple[str, ...]:
    """The cells that the profile of a bench promises, in the dtypes of the policy, and what else it has."""
    from dropcheck.speed.cells import plan

    dtypes = asked.sourced.policy.dtypes
    profile = bench.profile if bench.profile in PROFILES else wanted.profile
    planned = [str(cell) for cell in plan(profile, bench.device) if not dtypes or cell.dtype in dtypes]
    return tuple(dict.fromkeys([*planned, *bench.cells]))


def _compile(asked: Asked, allowed: float, bench: BenchResult, one: BenchTarget, again: str) -> Line:
    """What compiling costs without any cache, beside the reference; nothing to judge where nothing was compiled."""
    found = {c.target: c for c in bench.compiles}
    mine, theirs = found.get(one.target), found.get(bench.reference)
    compilations = {s.compilations for s in bench.setups if s.target == one.target}
    if mine is None and compilations == {0}:
        rule = asked.sourced.rule("speed", COMPILE.key)
        return figure(
            asked,
            COMPILE.check,
            "none",
            "nothing is compiled",
            rule,
            target=one.target,
            device=bench.device,
            again=again,
        )
    return counted(
        asked,
        COMPILE,
        allowed,
        mine.cold_s if mine is not None else None,
        theirs.cold_s if theirs is not None else None,
        bench,
        one,
        mine.cell if mine is not None else "",
        again,
    )


def _missing(
    asked: Asked, bench: BenchResult, one: BenchTarget, message: str, key: tuple[str, ...], cell: str, again: str
) -> Line:
    return figure(
        asked,
        "gate.evidence",
        missing_counts(asked.sourced, False),
        message,
        asked.sourced.rule(*key),
        target=one.target,
        device=bench.device,
        case=cell,
        again=again,
    )


def _cell(
    asked: Asked,
    wanted: Speed,
    bench: BenchResult,
    index: Index,
    one: BenchTarget,
    place: int,
    found: Measured,
    again: str,
) -> Iterator[Line]:
    from dropcheck.speed import summary

    cell = bench.cells[place]
    reference = next((s for s in bench.speeds if s.target == bench.reference and s.cell == place), None)
    share = wanted.level / max(1, len(bench.cells))
    if wanted.reference is not None and (wanted.max_ratio is not None or wanted.max_resolution is not None):
        if problem := control(bench, place, wanted):
            yield _missing(asked, bench, one, problem[0], ("speed", problem[1]), cell, again)
        elif wanted.max_ratio is not None:
            interval = summary.paired(index, one.target, bench.reference, place)
            yield bounded(asked, RATIO, wanted.max_ratio, interval, share, bench, one, cell, again)
    if wanted.min_fraction_of_limit is not None:
        if found.limit_s is None:
            text = found.reason or "its limit is not known"
            counts: Counts = "none" if "nothing need be moved" in text else missing_counts(asked.sourced, False)
            rule = asked.sourced.rule("speed", LIMIT.key)
            yield figure(
                asked,
                LIMIT.check,
                counts,
                line(text),
                rule,
                target=one.target,
                device=bench.device,
                case=cell,
                again=again,
            )
        else:
            interval = of_limit(index, one.target, place, found.limit_s)
            yield bounded(asked, LIMIT, wanted.min_fraction_of_limit, interval, share, bench, one, cell, again)
    if wanted.max_memory_ratio is not None:
        theirs = reference.memory if reference is not None else None
        yield counted(asked, MEMORY, wanted.max_memory_ratio, found.memory, theirs, bench, one, cell, again)
