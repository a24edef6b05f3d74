"""Speed: ratios within one run and shares of the physical limit, from the raw samples, against what the policy allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from dropcheck.gate.correctness import Asked, missing_counts, of_target, required_targets
from dropcheck.gate.decision import Counts, Line
from dropcheck.gate.evidence import old, other_release, rank
from dropcheck.gate.policy import Speed
from dropcheck.report.words import line
from dropcheck.results import Finding, TargetResult, Timing, Verdict

if TYPE_CHECKING:
    from dropcheck.speed.ratio import Interval
    from dropcheck.speed.records import BenchResult, BenchTarget, Host
    from dropcheck.speed.records import Speed as Measured

SLOWED = 0.85  # a clock that ends below this share of where it began was throttled
SAME = 1e-6  # relative; a stored number that differs by more from what its samples say is damaged


@dataclass(frozen=True)
class _Bound:
    """One thing that the policy bounds: the check, its key in [speed], and whether more is better."""

    check: str
    key: str
    more_is_better: bool
    unit: str


RATIO = _Bound("speed.ratio", "max_ratio", False, "times the reference")
LIMIT = _Bound("speed.limit", "min_fraction_of_limit", True, "of the physical limit")
COMPILE = _Bound("speed.compile", "max_compile_ratio", False, "times the reference")
MEMORY = _Bound("speed.memory", "max_memory_ratio", False, "times the reference")
BOUNDS = (RATIO, LIMIT, COMPILE, MEMORY)


def judge(asked: Asked) -> Iterator[Line]:
    """All lines about speed; none where the policy asks for none."""
    wanted = asked.sourced.policy.speed
    if wanted is None:
        return
    for device in asked.sourced.policy.devices:
        for name in required_targets(asked):
            if name != wanted.reference:
                yield from _target(asked, wanted, name, device)


def _line(
    asked: Asked,
    check: str,
    counts: Counts,
    message: str,
    rule: str,
    *,
    target: str,
    device: str,
    case: str = "",
    again: str = "",
    estimate: float | None = None,
    expected: float | None = None,
    unit: str = "",
) -> Line:
    verdicts: Mapping[str, Verdict] = {"pass": "pass", "fail": "fail", "missing": "inconclusive"}
    return Line(
        counts=counts,
        verdict=verdicts.get(counts, "skipped"),
        check=check,
        message=message,
        rule=rule,
        target=line(target),
        device=device,
        case=line(case),
        again=again,
        estimate=estimate,
        expected=expected,
        unit=unit,
    )


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
        problem, why = _unsuited(asked, wanted, bench, one)
        if problem:
            unfit, rule = f"the bench in {line(file)} is no evidence: {line(problem)}", why
            continue
        suited = True
        yield from _cells(asked, wanted, bench, one, again)
    if not suited:
        yield _line(asked, "gate.evidence", counts, unfit, rule, target=name, device=device, again=again)


def _command(wanted: Speed, name: str, device: str) -> str:
    import shlex

    words = ["dropcheck", "bench", *([wanted.reference] if wanted.reference else []), name]
    words += ["--profile", wanted.profile] + (["--device", device] if device != "cpu" else [])
    return shlex.join(words)


def _unsuited(asked: Asked, wanted: Speed, bench: BenchResult, one: BenchTarget) -> tuple[str, str]:
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
    if not bench.samples:
        return "it holds no sample", sourced.rule("speed")
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
    from dropcheck.speed import summary
    from dropcheck.speed.cells import parse_cell

    index = summary.index(bench.samples)
    cells = tuple(str(parse_cell(text)) for text in wanted.cells) or tuple(bench.cells)
    judged = 0
    for cell in cells:
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
            yield _line(
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
        yield _missing(asked, bench, one, "no cell applies: nothing is proven", ("speed",), "", again)
    if wanted.max_compile_ratio is not None:
        yield _compile(asked, wanted.max_compile_ratio, bench, one, again)


def _compile(asked: Asked, allowed: float, bench: BenchResult, one: BenchTarget, again: str) -> Line:
    """What compiling costs without any cache, beside the reference; nothing to judge where nothing was compiled."""
    found = {c.target: c for c in bench.compiles}
    mine, theirs = found.get(one.target), found.get(bench.reference)
    counted = {s.compilations for s in bench.setups if s.target == one.target}
    if mine is None and counted == {0}:
        rule = asked.sourced.rule("speed", COMPILE.key)
        return _line(
            asked,
            COMPILE.check,
            "none",
            "nothing is compiled",
            rule,
            target=one.target,
            device=bench.device,
            again=again,
        )
    return _plain(
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
    return _line(
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


def damage(bench: BenchResult, index: object, one: BenchTarget, place: int, found: Measured, wanted: Speed) -> str:
    """Why the samples of a cell are no evidence: too few, unequal, throttled, or not what the summary says."""
    from dropcheck.speed import summary

    assert isinstance(index, dict)
    names = [one.target] + ([bench.reference] if wanted.reference is not None else [])
    sets = {}
    for name in names:
        blocks = index.get((name, place, "target"), {})
        sets[name] = {(process, block) for process, some in blocks.items() for block in some}
        for some in blocks.values():
            for sample in some.values():
                if not (math.isfinite(sample.device_ns) and sample.device_ns > 0 and sample.loops > 0):
                    return f"a sample of {line(name)} took no time"
        expected = bench.processes * bench.blocks
        if len(sets[name]) != expected or expected < 2:
            return f"{line(name)} has {len(sets[name])} samples, {expected} were to be taken"
    if len({frozenset(some) for some in sets.values()}) > 1:
        return "the target and the reference were not sampled in the same blocks"
    medians = summary.medians(index[one.target, place, "target"])
    seconds = sorted(medians.values())
    middle = (seconds[(len(seconds) - 1) // 2] + seconds[len(seconds) // 2]) / 2 / 1e9
    if found.device_s is None or not abs(found.device_s / middle - 1) <= SAME:
        return "its time is not the median of its samples"
    slowed = [text for host in bench.hosts if host.target in names if (text := throttled(host))]
    return slowed[0] if slowed else ""


def throttled(host: Host) -> str:
    """Why a process did not run at the speed that it began with; an empty text where it did."""
    for when, state in (("before", host.before), ("after", host.after)):
        for key, value in state.items():
            if "throttl" in key and value not in (False, 0, None, "", "none", "no"):
                return f"{line(host.target)} was throttled ({key} {when} the cells: {line(str(value), 60)})"
    for key in ("mhz", "gpu_mhz"):
        one, two = host.before.get(key), host.after.get(key)
        if isinstance(one, int | float) and isinstance(two, int | float) and one > 0 and two < SLOWED * one:
            return f"{line(host.target)} was throttled: its clock fell from {one:g} to {two:g} MHz"
    return ""


def _cell(
    asked: Asked,
    wanted: Speed,
    bench: BenchResult,
    index: object,
    one: BenchTarget,
    place: int,
    found: Measured,
    again: str,
) -> Iterator[Line]:
    from dropcheck.speed import summary

    assert isinstance(index, dict)
    cell = bench.cells[place]
    reference = next((s for s in bench.speeds if s.target == bench.reference and s.cell == place), None)
    share = wanted.level / max(1, len(bench.cells))
    if wanted.reference is not None and (wanted.max_ratio is not None or wanted.max_resolution is not None):
        if problem := _control(bench, place, wanted):
            yield _missing(asked, bench, one, problem[0], ("speed", problem[1]), cell, again)
        elif wanted.max_ratio is not None:
            interval = summary.paired(index, one.target, bench.reference, place)
            yield _bounded(asked, RATIO, wanted.max_ratio, interval, share, bench, one, cell, again)
    if wanted.min_fraction_of_limit is not None:
        if found.limit_s is None:
            text = found.reason or "its limit is not known"
            counts: Counts = "none" if "nothing need be moved" in text else missing_counts(asked.sourced, False)
            rule = asked.sourced.rule("speed", LIMIT.key)
            yield _line(
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
            interval = _of_limit(index, one.target, place, found.limit_s)
            yield _bounded(asked, LIMIT, wanted.min_fraction_of_limit, interval, share, bench, one, cell, again)
    if wanted.max_memory_ratio is not None:
        theirs = reference.memory if reference is not None else None
        yield _plain(asked, MEMORY, wanted.max_memory_ratio, found.memory, theirs, bench, one, cell, again)


def _control(bench: BenchResult, place: int, wanted: Speed) -> tuple[str, str] | None:
    """Why no ratio can stand in this cell: the reference against itself. The second word is the policy's key."""
    control = next((p for p in bench.placebos if p.cell == place), None)
    if control is None:
        return "the reference was not timed twice here, so the resolution is not known", "reference"
    if control.verdict in ("faster", "slower"):
        return (
            f"the reference differs from itself ({control.ratio:.3f}): something else than the layers moved",
            "reference",
        )
    if wanted.max_resolution is not None and not control.resolution <= wanted.max_resolution:
        return (
            f"this cell resolves {control.resolution:.1%}, {wanted.max_resolution:.1%} is asked for",
            "max_resolution",
        )
    return None


def _of_limit(index: object, name: str, place: int, limit_s: float) -> Interval:
    """The log share of the limit over processes."""
    from dropcheck.speed import ratio, summary

    assert isinstance(index, dict)
    medians = summary.medians(index[name, place, "target"])
    return ratio.over_processes([math.log(limit_s * 1e9 / value) for value in medians.values()])


def bounds(interval: Interval, level: float) -> tuple[float, float]:
    """One-sided bounds of a ratio, each wrong with probability ``level`` (Student's t; processes are the unit)."""
    from scipy.special import stdtrit

    half = float(stdtrit(interval.degrees, 1 - level)) * interval.error
    return math.exp(min(700.0, interval.mean - half)), math.exp(min(700.0, interval.mean + half))


def _bounded(
    asked: Asked,
    bound: _Bound,
    allowed: float,
    interval: Interval,
    level: float,
    bench: BenchResult,
    one: BenchTarget,
    cell: str,
    again: str,
) -> Line:
    """pass: the whole one-sided interval keeps the bound; fail: none of it does; else evidence is missing."""
    counts: Counts = missing_counts(asked.sourced, False)
    rule = asked.sourced.rule("speed", bound.key)
    if interval.degrees <= 0 or not math.isfinite(interval.mean):
        text = "one process has no spread, so there is no interval"
    elif not interval.error > 0:
        text = "the processes agree to the last digit: no spread, so no interval"
    else:
        low, high = bounds(interval, level)
        middle = math.exp(min(700.0, interval.mean))
        text = f"{middle:.3g} {bound.unit}, between {low:.3g} and {high:.3g}"
        text += f"; {'at least' if bound.more_is_better else 'at most'} {allowed:g} is allowed"
        kept = low >= allowed if bound.more_is_better else high <= allowed
        broken = high < allowed if bound.more_is_better else low > allowed
        if kept:
            counts = "pass"
        elif broken:
            return _waivable(asked, bound, text, rule, middle, (low, high), allowed, bench, one, cell, again)
        else:
            text += ": too coarse to tell"
        return _line(
            asked, bound.check, counts, text, rule, target=one.target, device=bench.device, case=cell, again=again,
            estimate=middle, expected=allowed, unit=bound.unit,
        )  # fmt: skip
    return _line(asked, bound.check, counts, text, rule, target=one.target, device=bench.device, case=cell, again=again)


def _plain(
    asked: Asked,
    bound: _Bound,
    allowed: float,
    mine: float | None,
    theirs: float | None,
    bench: BenchResult,
    one: BenchTarget,
    cell: str,
    again: str,
) -> Line:
    """A figure that a bench has once, without an interval: its ratio to the reference's. What it does not tell is missing."""
    rule = asked.sourced.rule("speed", bound.key)
    if (
        mine is None
        or theirs is None
        or not math.isfinite(mine)
        or not math.isfinite(theirs)
        or theirs <= 0
        or mine < 0
    ):
        what = "memory" if bound is MEMORY else "compile time"
        text = f"the bench does not tell the {what} of {'the target' if mine is None else 'the reference'} here"
        counts = missing_counts(asked.sourced, False)
        return _line(
            asked, bound.check, counts, text, rule, target=one.target, device=bench.device, case=cell, again=again
        )
    value = mine / theirs
    text = f"{value:.3g} {bound.unit}; at most {allowed:g} is allowed"
    if value <= allowed:
        return _line(
            asked, bound.check, "pass", text, rule, target=one.target, device=bench.device, case=cell, again=again,
            estimate=value, expected=allowed, unit=bound.unit,
        )  # fmt: skip
    return _waivable(asked, bound, text, rule, value, None, allowed, bench, one, cell, again)


def _waivable(
    asked: Asked,
    bound: _Bound,
    text: str,
    rule: str,
    value: float,
    interval: tuple[float, float] | None,
    allowed: float,
    bench: BenchResult,
    one: BenchTarget,
    cell: str,
    again: str,
) -> Line:
    """A failure, unless a waiver accepts it, as those of correctness."""
    finding = Finding(
        check=bound.check,
        case=_dtype_first(cell),
        verdict="fail",
        message=text,
        estimate=value,
        expected=allowed,
        fail_interval=interval,
    )
    found, use, why = asked.book.accept(finding, one.target, bench.device)
    made = _line(
        asked, bound.check, "fail", text + (f"; {why}" if why else ""), rule, target=one.target, device=bench.device,
        case=cell, again=again, estimate=value, expected=allowed, unit=bound.unit,
    )  # fmt: skip
    if found.verdict == "waived" and use is not None:
        rule = asked.sourced.rule("waiver", use.place)
        return msgspec.structs.replace(made, counts="waived", verdict="waived", waiver=found.waiver, rule=rule)
    return made


def _dtype_first(cell: str) -> str:
    """The words of a cell with its dtype in front, where cases have theirs."""
    words = cell.split()
    return " ".join(words[1:2] + words[:1] + words[2:])
