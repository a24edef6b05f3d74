"""Speed beside correctness: told only of implementations whose audit passed; of others, the check that disqualifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dropcheck.judge import levels
from dropcheck.report import bench as text
from dropcheck.report.figures import pace
from dropcheck.report.figures.sheet import Drawn, Sheet
from dropcheck.results import plain_text
from dropcheck.results.audit import Finding, Result, TargetResult, for_another
from dropcheck.results.bench import BenchResult, BenchTarget
from dropcheck.results.naming import ANY
from dropcheck.speed import honesty


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
    told = rows(bench, result)
    allowed = {r.target for r in told if not r.barred}
    figures = [*sheet.take(pace.throughput(bench, allowed)), *sheet.take(pace.distance(bench, allowed))]
    return Section(bench, text.resolution(bench), told, figures)


def rows(bench: BenchResult, result: Result | None) -> list[Row]:
    """The targets of a bench beside the audit of the same page, if there is one."""
    if result is None:
        return [_row(bench, one, None) for one in bench.targets]
    audits = {t.target: t for t in result.targets}
    return [_row(bench, one, audits.get(one.target), result.profile) for one in bench.targets]


def sentences(bench: BenchResult, told: Sequence[Row]) -> list[str]:
    """The answer of a bench, a sentence a target, its reference last: what is barred on the page has no speed here either."""
    found = []
    for row in sorted(told, key=lambda r: r.target == bench.reference):
        said = f"{plain_text.line(row.target)} is {row.barred}." if row.barred else text.answer(bench, row.target)
        found += [said] if said else []
    return found


def beside(sections: Sequence[Section]) -> dict[str, str]:
    """Target -> what stands beside it in the matrix."""
    return {row.target: row.barred or row.told for one in sections for row in one.rows}


def headline(sections: Sequence[Section]) -> str:
    """The answer of benches alone, from what the page shows of them."""
    told = [said for one in sections for said in sentences(one.bench, one.rows)]
    return " ".join(told) or "Nothing was measured."


def barred(target: TargetResult) -> str:
    """Why a target of this audit has no speed here; an empty text where it may have one."""
    if target.verdict in ("pass", "waived"):
        return ""
    failing = list(dict.fromkeys(f.check for f in target.findings if f.verdict == "fail" and levels.of(f) == "defect"))
    if failing:
        return f"not timed: fails {plain_text.some(failing, 2)}"
    if target.skipped is not None or target.error is not None:
        return "not timed: it was not audited to the end"
    unsure = levels.worst(target.findings) is None or any(map(_open, target.findings))
    return "not timed: its audit has checks without a verdict" if unsure else ""


def _open(one: Finding) -> bool:
    """Whether a result would bar a speed, and is no failure: an edge case fails beside it, and this is not known."""
    hidden = one.verdict == "skipped" and for_another(one.message)
    return levels.of(one) == "defect" and (hidden or one.verdict in ("inconclusive", "error"))


def edges_of(one: BenchTarget) -> str:
    """Which edge cases or traits fail in the audit beside a speed; an empty text where none does."""
    some = one.audit.edges if one.audit is not None else []
    return f"edge cases fail: {plain_text.some(some)}" if some else ""


def _bars(one: BenchTarget, audit: TargetResult | None, profile: str) -> str:
    """Why a target of a bench has no speed on this page; an empty text where its audits clear it.

    The audit of the page bars what fails in it, and clears only the release and the file that it was of, and only where no
    check was left out; elsewhere the audit that the bench itself names has to clear it.
    """
    same = audit is not None and _same(audit, one)
    if audit is not None and same and (why := barred(audit)):
        return why
    if one.audit is not None:
        if one.audit.verdict in ("pass", "waived") or (one.audit.edges and not one.audit.disqualified):
            return ""
        reason = next(iter(one.audit.disqualified.values()), f"its audit says {one.audit.verdict}")
        return f"not timed: {plain_text.line(reason, 200)}"
    if audit is None:
        return "not timed: not audited"
    if not same:
        return f"not timed: its audit was of another release or file, {plain_text.line(audit.version or 'unnamed', 60)}"
    seen = honesty.stamp(audit, profile.partition(", ")[0], "")
    return f"not timed: {seen.disqualified[ANY]}" if ANY in seen.disqualified else ""


def _same(audit: TargetResult, one: BenchTarget) -> bool:
    """Whether an audit and a bench are of one release, one file and one pattern, as far as both say."""
    digest = one.audit.digest if one.audit is not None else ""
    pairs = [
        (audit.version, one.version),
        (audit.source, digest),
        (str(audit.contract.get("pattern", "")), one.pattern),
    ]
    return all(a == b for a, b in pairs if a and b)


def _row(bench: BenchResult, one: BenchTarget, audit: TargetResult | None, profile: str = "quick") -> Row:
    why = _bars(one, audit, profile)
    if not why and (one.error or one.skipped):
        why = f"not timed: {plain_text.line(one.error or one.skipped or '', 200)}"
    if why:
        return Row(one.target, "", why, [])
    speeds = [s for s in bench.speeds if s.target == one.target]
    measured = [s for s in speeds if s.state == "measured"]
    if not measured:
        reason = next((s.reason for s in speeds if s.reason), "nothing was measured")
        return Row(one.target, "", f"not timed: {plain_text.line(reason, 200)}", [])
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
        told += f"; {', '.join(counted)} of {plain_text.count(len(compared), 'cell')}"
    if edges := edges_of(one):
        told += f"; {edges}"
    by_cell = {c.cell: c for c in compared}
    cells = []
    for s in speeds:
        against = by_cell.get(s.cell)
        cells.append(
            [
                bench.cells[s.cell],
                text.seconds(s.device_s) if s.state == "measured" else f"{s.state}: {plain_text.line(s.reason, 160)}",
                text.seconds(s.host_s),
                text.seconds(s.first_s),
                text.size(s.memory),
                text.share(s.fraction),
                text.ratio(against),
                ""
                if against is None
                else against.verdict + (f": {plain_text.line(against.reason, 160)}" if against.reason else ""),
            ]
        )
    return Row(one.target, told, "", cells)
