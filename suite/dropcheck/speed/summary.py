"""What raw samples say: times, limits, paired comparisons, the resolution of the run; a pure function of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from dropcheck.contract.cells import Cell
from dropcheck.contract.promise import Pattern
from dropcheck.results.bench import Comparison, Placebo, Sample, Speed, Yardstick
from dropcheck.speed import limit, noise, ratio
from dropcheck.speed.ratio import Interval
from dropcheck.speed.raw import Problem, Raw
from dropcheck.speed.runner import Lane, Plan

# a target that takes less than this share of the new pages of a copy beside it has kept its memory, whatever was asked
_FEW_PAGES = 0.25

Blocks = dict[int, dict[int, Sample]]  # process -> block -> sample
Index = dict[tuple[str, int, str], Blocks]  # (lane, cell, what)


@dataclass
class Summary:
    """Everything that the result says beside the raw samples."""

    speeds: list[Speed] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    placebos: list[Placebo] = field(default_factory=list)
    yardsticks: list[Yardstick] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def resolution(self) -> float | None:
        """The coarsest of all cells; None where the reference was never timed twice."""
        return max((p.resolution for p in self.placebos), default=None)


def index(samples: Sequence[Sample]) -> Index:
    """Samples by lane, cell and thing."""
    found: Index = defaultdict(lambda: defaultdict(dict))
    for one in samples:
        name = f"{one.target}\x1fagain" if one.again else one.target
        found[name, one.cell, one.what][one.process][one.block] = one
    return found


def paired(found: Index, lane: str, other: str, cell: int) -> Interval:
    """The log ratio lane / other over processes, from blocks that have both. No shared block: an interval without degrees."""
    return over_blocks(found.get((lane, cell, "target"), {}), found.get((other, cell, "target"), {}))


def over_blocks(one: Blocks, two: Blocks) -> Interval:
    """The log ratio one / two over the processes that have both, each by the median of the blocks that have both."""
    medians = []
    for process in sorted(set(one) & set(two)):
        shared = sorted(set(one[process]) & set(two[process]))
        if shared:
            medians.append(
                ratio.process_median(
                    [one[process][b].device_ns for b in shared], [two[process][b].device_ns for b in shared]
                )
            )
    return ratio.over_processes(medians)


def medians(blocks: Blocks, field_name: str = "device_ns") -> dict[int, float]:
    """The median over blocks, by process."""
    return {p: float(np.median([getattr(s, field_name) for s in some.values()])) for p, some in blocks.items() if some}


def resolution_of(plan: Plan, raw: Raw, margin: float, level: float) -> float:
    """The coarsest resolution of all cells so far, from the reference against itself alone; infinite where there is none."""
    found = _placebos(index(raw.samples), plan, plan.lanes[0], plan.lanes[-1], margin, level)
    return max((p.resolution for p in found), default=math.inf)


def summarise(
    plan: Plan, raw: Raw, margin: float, level: float, resolution: float | None, allowed: float = noise.NOISE
) -> Summary:
    """All of it. ``allowed``: by which share the reference may differ from itself where a cell has a figure."""
    found, made = index(raw.samples), Summary()
    reference, again = plan.lanes[0], plan.lanes[-1]
    for place, _ in enumerate(plan.cells):
        stick = _yardstick(found, plan, place)
        if stick is not None:
            made.yardsticks.append(stick)
    sticks = {y.cell: y for y in made.yardsticks}
    beside = {p: paired(found, again.name, reference.name, p) for p in range(len(plan.cells))}
    noisy = noise.noisy(beside, made.yardsticks, allowed)
    for lane in plan.lanes[:-1]:
        for place, cell in enumerate(plan.cells):
            speed = _speed(found, raw, lane, place, cell, sticks.get(place), made.warnings)
            if speed.state == "measured" and place in noisy:
                speed = Speed(target=speed.target, cell=place, state="noisy", reason=noisy[place])
            made.speeds.append(speed)
    made.placebos = _placebos(found, plan, reference, again, margin, level)
    for lane in plan.lanes[1:-1]:
        some = _compared(found, plan, raw, lane, made.placebos, margin, level, resolution)
        made.comparisons += [_without_figure(one, noisy[one.cell]) if one.cell in noisy else one for one in some]
    made.warnings += _thread_warnings(plan, raw)
    for stick in made.yardsticks:
        if stick.copy_fraction is not None and abs(stick.copy_fraction - 1) > 0.03 and stick.cell not in noisy:
            made.warnings.append(
                f"{plan.cells[stick.cell]}: a copy measures {stick.copy_fraction:.2f} of its own limit, expected 1.00 within "
                "0.03: fractions of the limit in this cell are as uncertain"
            )
    return made


def _without_figure(one: Comparison, why: str) -> Comparison:
    """A comparison in a noisy cell: the raw samples are kept, a ratio is not told."""
    return msgspec.structs.replace(
        one, verdict="inconclusive", ratio=None, low=None, high=None, reason=one.reason or f"noisy: {why}"
    )


def _yardstick(found: Index, plan: Plan, place: int) -> Yardstick | None:
    """The best copy and fill of any process: what is fastest over the run counts, so that one lucky block does not."""
    best: dict[str, tuple[float, str, str]] = {}
    for (lane, cell, what), blocks in found.items():
        kind = what.partition(":")[0]
        if cell == place and kind in ("copy", "fill"):
            value = float(np.median(list(medians(blocks).values())))
            best[kind] = min(best.get(kind, (math.inf, "", "")), (value, lane, what))
    if len(best) < 2:
        return None
    copy, fill = best["copy"], best["fill"]
    lane = plan.lanes[0].name
    ways = [w for (name, c, w) in found if name == lane and c == place and w.startswith("copy:")]
    fraction = None
    if ways:
        way = min(ways, key=lambda w: float(np.median(list(medians(found[lane, place, w]).values()))))
        one, two = medians(found[lane, place, way]), medians(found.get((lane, place, f"again:{way}"), {}))
        shared = sorted(set(one) & set(two))
        if shared:
            fraction = float(np.exp(np.median([math.log(one[p] / two[p]) for p in shared])))
    return Yardstick(
        cell=place,
        copy=copy[2].partition(":")[2],
        copy_s=copy[0] / 1e9,
        fill=fill[2].partition(":")[2],
        fill_s=fill[0] / 1e9,
        copy_fraction=fraction,
    )


def _speed(
    found: Index, raw: Raw, lane: Lane, place: int, cell: Cell, stick: Yardstick | None, warnings: list[str]
) -> Speed:
    problem = raw.problems.get((lane.name, place)) or raw.closed.get(lane.name)
    blocks = found.get((lane.name, place, "target"), {})
    if problem is None and not blocks:
        problem = Problem("error", "not measured: the run ended before")
    if problem is not None:
        return Speed(
            target=lane.target.name,
            cell=place,
            state="skipped"
            if problem.state == "skipped"
            else "disqualified"
            if problem.state == "disqualified"
            else "error",
            reason=problem.reason,
        )
    device = float(np.median(list(medians(blocks).values()))) / 1e9
    host = float(np.median(list(medians(blocks, "host_ns").values()))) / 1e9
    pages = float(np.median(list(medians(blocks, "faults").values())))
    setups = [s for s in raw.setups if s.cell == place and s.target == lane.target.name and not s.again]
    first, memory = raw.memory.get((lane.name, place), (None, None))
    pattern = Pattern.parse(raw.opened[lane.name]["contract"]["pattern"])
    on = "cuda" if raw.hosts and any(h.threads.get("device") == "cuda" for h in raw.hosts) else "cpu"
    need = limit.traffic(cell, pattern, on)
    least = limit.seconds(need, stick.copy_s, stick.fill_s) if stick is not None else None
    keeps = cell.regime == "fresh" and need.passes > 0 and pages < _FEW_PAGES * _pages_of_a_copy(found, lane, place)
    if keeps:
        least = None  # the yardsticks pay for new pages here, and this target does not
    fraction = least / device if least is not None and device > 0 else None
    if fraction is not None and fraction > limit.ABOVE:
        warnings.append(
            f"{lane.target.name}, {cell}: {fraction:.2f} of the limit, above {limit.ABOVE:g}: the model or its yardstick is "
            "wrong here"
        )
    firsts = [s.first_ns for s in setups if s.process > 0] + ([first] if first is not None else [])
    return Speed(
        target=lane.target.name,
        cell=place,
        state="measured",
        reason="nothing need be moved: no limit"
        if not need.passes
        else "its allocator keeps memory, where the copy beside it pays for new pages: no limit"
        if keeps
        else "",
        device_s=device,
        host_s=host,
        first_s=float(np.median(firsts)) / 1e9 if firsts else None,
        memory=memory,
        moved=need.total,
        skipped_share=need.skipped,
        limit_s=least,
        fraction=fraction,
        faults=pages,
        how=setups[0].how if setups else "",
        captured=setups[0].captured if setups else None,
    )


def _pages_of_a_copy(found: Index, lane: Lane, place: int) -> float:
    """New pages a call of the copies in the target's own process; 0 where they are too few to tell."""
    pages = [
        max(medians(blocks, "faults").values(), default=0.0)
        for (name, cell, what), blocks in found.items()
        if name == lane.name and cell == place and what.startswith("copy:")
    ]
    most = max(pages, default=0.0)
    return most if most >= 16 else 0.0


def _placebos(found: Index, plan: Plan, one: Lane, two: Lane, margin: float, level: float) -> list[Placebo]:
    intervals = {p: paired(found, two.name, one.name, p) for p in range(len(plan.cells))}
    some = {p: i for p, i in intervals.items() if i.degrees > 0}
    return [
        Placebo(
            cell=place,
            verdict=told.verdict,
            ratio=told.ratio,
            low=told.low,
            high=told.high,
            resolution=math.expm1(min(700.0, interval.half_width(told.alpha))),
            processes=interval.processes,
        )
        for (place, interval), told in zip(some.items(), ratio.judge(list(some.values()), margin, level), strict=True)
    ]


def _compared(
    found: Index,
    plan: Plan,
    raw: Raw,
    lane: Lane,
    placebos: Sequence[Placebo],
    margin: float,
    level: float,
    wanted: float | None,
) -> list[Comparison]:
    """One family a target, as in audits: a verdict never depends on who else was measured.

    A target that did not live to the end has no verdict, and a reference that did not gives none.
    """
    if lane.name in raw.closed:
        return []
    reference = plan.lanes[0]
    controls: Mapping[int, Placebo] = {p.cell: p for p in placebos}
    places = [
        p
        for p in range(len(plan.cells))
        if (lane.name, p) not in raw.problems
        and (reference.name, p) not in raw.problems
        and reference.name not in raw.closed
        and paired(found, lane.name, reference.name, p).processes
    ]
    intervals = [paired(found, lane.name, reference.name, p) for p in places]
    made = []
    for place, interval, told in zip(places, intervals, ratio.judge(intervals, margin, level), strict=True):
        control, verdict, reason = controls.get(place), told.verdict, ""
        if control is None:
            verdict, reason = "inconclusive", "the reference was not timed twice here"
        elif control.verdict in ("faster", "slower"):
            verdict = "inconclusive"
            reason = f"the reference differs from itself ({control.ratio:.3f}): something else than the layers moved"
        elif wanted is not None and control.resolution > wanted:
            verdict = "inconclusive"
            reason = f"this cell resolves {control.resolution:.1%}, {wanted:.1%} was asked for"
        made.append(
            Comparison(
                target=lane.target.name,
                cell=place,
                verdict=verdict,
                ratio=told.ratio,
                low=told.low,
                high=told.high if math.isfinite(told.high) else None,
                alpha=told.alpha,
                processes=interval.processes,
                reason=reason,
            )
        )
    for place in range(len(plan.cells)):
        if place not in places and (lane.name, place) not in raw.problems:
            made.append(
                Comparison(
                    target=lane.target.name,
                    cell=place,
                    verdict="inconclusive",
                    ratio=None,
                    low=None,
                    high=None,
                    alpha=None,
                    processes=0,
                    reason=f"the reference {reference.target.name} has no time here",
                )
            )
    return sorted(made, key=lambda c: c.cell)


def _thread_warnings(plan: Plan, raw: Raw) -> list[str]:
    """Where a framework or the system says another number of threads than was asked for."""
    found = []
    for host in raw.hosts:
        said = {**host.threads.get("framework", {})}
        if host.threads.get("processors") is not None:
            said["processors of the process"] = host.threads["processors"]
        for who, number in said.items():
            if number != plan.threads:
                found.append(f"{host.target}: {who} says {number} threads, {plan.threads} were asked for")
    return sorted(set(found))
