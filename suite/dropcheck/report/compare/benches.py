"""What changed in speed between two results: each entry of the old one judged by interval against margin; missing is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dropcheck.results.bench import BenchResult, BenchTarget
from dropcheck.speed import ratio, summary
from dropcheck.speed.ratio import Interval


@dataclass(frozen=True)
class Change:
    """One target in one cell. ``verdict``: faster, same, slower, inconclusive, missing (in the new result) or new.

    ``anchor``: what both were measured against in their own run, block by block.
    """

    target: str
    cell: str
    verdict: str
    anchor: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def compare(
    old: BenchResult, new: BenchResult, margin: float = ratio.MARGIN, level: float = ratio.LEVEL
) -> list[Change]:
    """Changes from ``old`` to ``new``: log ratios to an anchor, their difference by Welch's interval, Holm a target.

    Times of different runs are never compared: each is first divided by an anchor of its own blocks, the reference where
    both runs have the same release of it and it is not the target itself, else the same copy.
    """
    indexes = summary.index(old.samples), summary.index(new.samples)
    olds, news = _measured(old), _measured(new)
    other = _other_machine(old, new)
    made: list[Change] = []
    names = list(dict.fromkeys([t for t, _ in olds] + [t for t, _ in news]))
    for name in names:
        entries: list[tuple[str, str, Interval]] = []
        for cell in dict.fromkeys([*old.cells, *new.cells]):
            if (name, cell) not in olds:
                if (name, cell) in news:
                    made.append(Change(name, cell, "new", reason="the old result has no time here"))
                continue
            if (name, cell) not in news:
                made.append(Change(name, cell, "missing", reason=_why_missing(new, name, cell)))
                continue
            anchor = _anchor(old, new, name, cell, indexes)
            if anchor is None:
                made.append(Change(name, cell, "inconclusive", reason="the two runs share no anchor in this cell"))
                continue
            one, two = (_interval(i, r, name, cell, anchor) for i, r in zip(indexes, (old, new), strict=True))
            entries.append((cell, anchor, ratio.difference(two, one)))
        for (cell, anchor, _), told in zip(entries, ratio.judge([e[2] for e in entries], margin, level), strict=True):
            verdict = "inconclusive" if other else told.verdict
            high = told.high if math.isfinite(told.high) else None
            made.append(Change(name, cell, verdict, anchor, told.ratio, told.low, high, other))
    return made


def exit_code(changes: list[Change]) -> int:
    """1 where something is slower, 3 where nothing is but evidence is missing, 0 otherwise."""
    verdicts = {c.verdict for c in changes}
    if "slower" in verdicts:
        return 1
    return 3 if not changes or verdicts & {"inconclusive", "missing"} or verdicts == {"new"} else 0


def _measured(result: BenchResult) -> dict[tuple[str, str], int]:
    return {(s.target, result.cells[s.cell]): s.cell for s in result.speeds if s.state == "measured"}


def _why_missing(result: BenchResult, name: str, cell: str) -> str:
    if cell not in result.cells:
        return "the new result has no such cell"
    for one in result.speeds:
        if one.target == name and result.cells[one.cell] == cell:
            return f"{one.state}: {one.reason}"
    return "the new result has no such target"


def _named(result: BenchResult, name: str) -> BenchTarget | None:
    return next((t for t in result.targets if t.target == name), None)


def _anchor(
    old: BenchResult, new: BenchResult, name: str, cell: str, indexes: tuple[summary.Index, summary.Index]
) -> str | None:
    """``target`` lane or ``copy:NAME`` in the target's own process, timed in both runs."""
    one, two = _named(old, old.reference), _named(new, new.reference)
    same = old.reference == new.reference and one is not None and two is not None and one.version == two.version
    measured = (old.reference, cell) in _measured(old) and (new.reference, cell) in _measured(new)
    if same and measured and name != old.reference and ":" not in old.reference:
        return old.reference
    both = None
    for found, result in zip(indexes, (old, new), strict=True):
        place = result.cells.index(cell)
        ways = {w for (lane, c, w) in found if lane == name and c == place and w.startswith("copy:")}
        both = ways if both is None else both & ways
    return min(both) if both else None


def _interval(found: summary.Index, result: BenchResult, name: str, cell: str, anchor: str) -> Interval:
    place = result.cells.index(cell)
    if not anchor.startswith("copy:"):
        return summary.paired(found, name, anchor, place)
    return summary.over_blocks(found.get((name, place, "target"), {}), found.get((name, place, anchor), {}))


def _gpus(result: BenchResult) -> str:
    """The GPUs that the processes of a run named; ``none named`` where none did."""
    return ", ".join(sorted({str(h.before["gpu"]) for h in result.hosts if h.before.get("gpu")})) or "none named"


def _other_machine(old: BenchResult, new: BenchResult) -> str:
    """Why no verdict can stand: what differs between the two machines. Empty where nothing does."""
    pairs = [
        ("processor", old.environment.get("processor"), new.environment.get("processor")),
        ("device", old.device, new.device),
        ("GPU", _gpus(old), _gpus(new)),
        ("threads", old.threads, new.threads),
    ]
    for what, one, two in pairs:
        if one != two:
            return f"another {what}: {one} then, {two} now; measure both on one machine"
    return ""
