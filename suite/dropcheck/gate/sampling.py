"""Whether the samples of a bench are evidence: as many as planned, in the same blocks, at one clock, and what they say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dropcheck.gate.policy import Speed
from dropcheck.results.plain_text import line

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult, BenchTarget, Host
    from dropcheck.results.bench import Speed as Measured
    from dropcheck.speed.ratio import Interval
    from dropcheck.speed.summary import Index


SLOWED = 0.85  # a clock that ends below this share of where it began was throttled
SAME = 1e-6  # relative; a stored number that differs by more from what its samples say is damaged


def damage(bench: BenchResult, index: Index, one: BenchTarget, place: int, found: Measured, wanted: Speed) -> str:
    """Why the samples of a cell are no evidence: too few, unequal, throttled, or not what the summary says."""
    from dropcheck.speed import summary

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


def control(bench: BenchResult, place: int, wanted: Speed) -> tuple[str, str] | None:
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


def of_limit(index: Index, name: str, place: int, limit_s: float) -> Interval:
    """The log share of the limit over processes."""
    from dropcheck.speed import ratio, summary

    medians = summary.medians(index[name, place, "target"])
    return ratio.over_processes([math.log(limit_s * 1e9 / value) for value in medians.values()])


def bounds(interval: Interval, level: float) -> tuple[float, float]:
    """One-sided bounds of a ratio, each wrong with probability ``level`` (Student's t; processes are the unit)."""
    from scipy.special import stdtrit

    half = float(stdtrit(interval.degrees, 1 - level)) * interval.error
    return math.exp(min(700.0, interval.mean - half)), math.exp(min(700.0, interval.mean + half))
