"""Speed beside correctness: told only of implementations whose audit passed; of others, the check that disqualifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dropcheck.report import words
from dropcheck.report.figures import pace
from dropcheck.report.view import Drawn, Sheet
from dropcheck.results import Result, TargetResult
from dropcheck.speed import text
from dropcheck.speed.records import BenchResult, BenchTarget


@dataclass(frozen=True)
class Row:
    """One target of one bench: ``told`` is the sentence for the matrix, ``barred`` why there is no speed."""

    target: str
    told: str
    barred: str
    cells: list[list[str]]


@dataclass(frozen=True)
class Section:
    """One bench."""

    bench: BenchResult
    resolution: str
    rows: list[Row]
    figures: list[Drawn]


def section(bench: BenchResult, result: Result, sheet: Sheet) -> Section:
    """A bench as the page tells it."""
    audits = {t.target: t for t in result.targets}
    rows = [_row(bench, one, audits.get(one.target)) for one in bench.targets]
    allowed = {r.target for r in rows if not r.barred}
    figures = [*sheet.take(pace.throughput(bench, allowed)), *sheet.take(pace.distance(bench, allowed))]
    return Section(bench, text.resolution(bench), rows, figures)


def beside(sections: Sequence[Section]) -> dict[str, str]:
    """Target -> what stands beside it in the matrix."""
    return {row.target: row.barred or row.told for one in sections for row in one.rows}


def barred(target: TargetResult) -> str:
    """Why a target of this audit has no speed here; an empty text where it may have one."""
    if target.verdict in ("pass", "waived"):
        return ""
    failing = list(dict.fromkeys(f.check for f in target.findings if f.verdict == "fail"))
    if failing:
        return f"no speed: fails {words.some(failing, 2)}"
    if target.skipped is not None or target.error is not None:
        return "no speed: it was not audited to the end"
    return "no speed: what is unsure is not cleared"


def _row(bench: BenchResult, one: BenchTarget, audit: TargetResult | None) -> Row:
    why = ""
    if audit is not None:
        why = barred(audit)
    elif one.audit is None:
        why = "no speed: not audited"
    elif one.audit.verdict not in ("pass", "waived"):
        reason = next(iter(one.audit.disqualified.values()), f"its audit says {one.audit.verdict}")
        why = f"no speed: {words.line(reason, 200)}"
    if not why and (one.error or one.skipped):
        why = f"no speed: {words.line(one.error or one.skipped or '', 200)}"
    if why:
        return Row(one.target, "", why, [])
    speeds = [s for s in bench.speeds if s.target == one.target]
    measured = [s for s in speeds if s.state == "measured"]
    if not measured:
        reason = next((s.reason for s in speeds if s.reason), "nothing was measured")
        return Row(one.target, "", f"no speed: {words.line(reason, 200)}", [])
    fractions = [s.fraction for s in measured if s.fraction is not None]
    told = f"{float(np.median(fractions)):.2f} of the limit" if fractions else f"{len(measured)} cells measured"
    compared = [c for c in bench.comparisons if c.target == one.target]
    counted = [
        f"{word} in {n}"
        for word in ("faster", "same", "slower", "inconclusive")
        if (n := sum(c.verdict == word for c in compared))
    ]
    if one.target == bench.reference:
        told += "; the reference"
    elif counted:
        told += f"; {', '.join(counted)} of {words.count(len(compared), 'cell')}"
    by_cell = {c.cell: c for c in compared}
    cells = []
    for s in speeds:
        against = by_cell.get(s.cell)
        cells.append(
            [
                bench.cells[s.cell],
                text.seconds(s.device_s) if s.state == "measured" else f"{s.state}: {words.line(s.reason, 160)}",
                text.seconds(s.host_s),
                text.seconds(s.first_s),
                text.size(s.memory),
                text.share(s.fraction),
                text.ratio(against),
                ""
                if against is None
                else against.verdict + (f": {words.line(against.reason, 160)}" if against.reason else ""),
            ]
        )
    return Row(one.target, told, "", cells)
