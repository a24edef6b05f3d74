"""One figure of speed against its bound: by interval where it was sampled, as it is where it was counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from dropcheck.gate.correctness import Asked, missing_counts
from dropcheck.gate.decision import Counts, Line
from dropcheck.gate.sampling import bounds
from dropcheck.results.audit import Finding, Verdict
from dropcheck.results.plain_text import line

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult, BenchTarget
    from dropcheck.speed.ratio import Interval


@dataclass(frozen=True)
class Bound:
    """One thing that the policy bounds: the check, its key in [speed], and whether more is better."""

    check: str
    key: str
    more_is_better: bool
    unit: str


RATIO = Bound("speed.ratio", "max_ratio", False, "times the reference")
LIMIT = Bound("speed.limit", "min_fraction_of_limit", True, "of the physical limit")
COMPILE = Bound("speed.compile", "max_compile_ratio", False, "times the reference")
MEMORY = Bound("speed.memory", "max_memory_ratio", False, "times the reference")
BOUNDS = (RATIO, LIMIT, COMPILE, MEMORY)


def figure(
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


def bounded(
    asked: Asked,
    bound: Bound,
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
            text += ": too coarse to decide"
        return figure(
            asked, bound.check, counts, text, rule, target=one.target, device=bench.device, case=cell, again=again,
            estimate=middle, expected=allowed, unit=bound.unit,
        )  # fmt: skip
    return figure(
        asked, bound.check, counts, text, rule, target=one.target, device=bench.device, case=cell, again=again
    )


def counted(
    asked: Asked,
    bound: Bound,
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
        text = f"the bench does not say the {what} of {'the target' if mine is None else 'the reference'} here"
        counts = missing_counts(asked.sourced, False)
        return figure(
            asked, bound.check, counts, text, rule, target=one.target, device=bench.device, case=cell, again=again
        )
    value = mine / theirs
    text = f"{value:.3g} {bound.unit}; at most {allowed:g} is allowed"
    if value <= allowed:
        return figure(
            asked, bound.check, "pass", text, rule, target=one.target, device=bench.device, case=cell, again=again,
            estimate=value, expected=allowed, unit=bound.unit,
        )  # fmt: skip
    return _waivable(asked, bound, text, rule, value, None, allowed, bench, one, cell, again)


def _waivable(
    asked: Asked,
    bound: Bound,
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
    made = figure(
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
