"""A trend in the terminal: a table of releases for each target, and what changed when."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from dropcheck.judge import levels
from dropcheck.judge.claims import FAMILIES
from dropcheck.report.compare.changes import BETTER, WORSE, Change
from dropcheck.report.compare.trend import Row, Trend, Trends
from dropcheck.report.sentences import GLYPHS, WORDS
from dropcheck.results.history.entries import Claim
from dropcheck.results.plain_text import count, family, line, number


def render(found: Trends, width: int = 100, checks: Sequence[str] = ()) -> str:
    """The whole trend. With ``checks``, a row shows their estimates and resolutions instead of families."""
    parts = [f"{sentence(found)}\n"]
    parts += [_target(one, width, checks) for one in found.targets]
    return "\n".join(parts)


def sentence(found: Trends) -> str:
    """The answer: how many targets got worse, better, or stayed."""
    if not found.targets:
        return f"History {line(found.history)} holds nothing of what was asked."
    words = Counter(_tendency(one) for one in found.targets)
    told = [
        f"{count(words[w], 'target')} {text if w or words[w] > 1 else 'shows no change'}"
        for w, text in _TENDENCIES.items()
        if words[w]
    ]
    return f"{count(found.runs, 'run')} in {line(found.history)}: {', '.join(told)}."


_TENDENCIES = {"worse": "got worse", "better": "got better", "both": "got worse and better", "": "show no change"}


def _tendency(one: Trend) -> str:
    words = {"worse" if c.word in WORSE else "better" for c in one.changes if c.word in (*WORSE, *BETTER)}
    return "both" if len(words) == 2 else words.pop() if words else ""


def _target(one: Trend, width: int, checks: Sequence[str]) -> str:
    lines = [line(one.target)]
    if one.audits:
        lines += _table(claim_rows(one.audits) if checks else audit_rows(one.audits))
    if one.benches:
        lines += _table(bench_rows(one.benches))
    for _, some in groupby(one.changes, key=lambda c: (c.word, c.when, c.before, c.after)):
        lines += _changes(list(some), width)
    return "\n".join(lines) + "\n"


def audit_rows(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Release, dropcheck, profile, when, how many runs, and a word for each family of checks; the first line names them."""
    shown = [name for name in FAMILIES if any(name in row.families for row in rows)] or ["verdict"]
    table: list[tuple[str, ...]] = [("release", "dropcheck", "profile", "audited", "runs", *shown)]
    for row in rows:
        found = [
            mark(row.claims, name) or row.families.get(name, "") if row.families else row.verdict for name in shown
        ]
        table.append((*_release(row), str(row.runs), *(f"{GLYPHS[v]} {WORDS[v]}".strip() for v in found)))
    return table


def mark(claims: Sequence[Claim], name: str) -> str:
    """``edge`` for a family, or one check, in which nothing but edge cases fails; else an empty text.

    A history keeps one case of a check, so that only checks that judge nothing but edges are known to be one.
    """
    failing = [c.check for c in claims if c.verdict == "fail" and name in (family(c.check), c.check)]
    return "edge" if failing and all(levels.level(check) == "edge" for check in failing) else ""


def claim_rows(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A line a check and release, check by check, with estimate, expected value and resolution."""
    table: list[tuple[str, ...]] = [
        ("check", "release", "dropcheck", "profile", "audited", "verdict", "estimate", "expected", "resolution")
    ]
    for check in dict.fromkeys(one.check for row in rows for one in row.claims):
        for row, one in ((r, c) for r in rows for c in r.claims if c.check == check):
            shown = mark([one], one.check) or one.verdict
            told = f"{GLYPHS[shown]} {WORDS[shown]}".strip()
            numbers = [number(value) for value in (one.estimate, one.expected, one.resolution)]
            table.append((one.check, *_release(row), told, *numbers))
    return table


def bench_rows(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Release, and the range of its ratios to each reference with the verdicts of the cells."""
    table: list[tuple[str, ...]] = [("release", "dropcheck", "profile", "timed", "reference", "ratio", "cells")]
    for row in rows:
        for reference in dict.fromkeys(r.reference for r in row.ratios):
            some = [r for r in row.ratios if r.reference == reference]
            values = [r.ratio for r in some if r.ratio is not None]
            span = f"{min(values):.3f} to {max(values):.3f}" if values else "-"
            words = Counter(r.verdict for r in some)
            told = ", ".join(f"{n} {word}" for word, n in words.items())
            table.append((*_release(row), line(reference, 40), span, told))
    return table


def _release(row: Row) -> tuple[str, str, str, str]:
    return line(row.release, 40), line(row.dropcheck, 20), line(row.profile, 20), row.last[:10]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    wide = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows]


def _changes(some: Sequence[Change], width: int) -> list[str]:
    """Changes of one word between the same two rows, under one head."""
    was, now = differing(some[0])
    lines = [f"  {some[0].glyph} {some[0].says}: {some[0].when[:10]}, {was} -> {now}"]
    for one in some:
        text = f"{one.what}: {line(one.text, 600)}"
        lines += textwrap.wrap(text, width, initial_indent="      ", subsequent_indent="      ")
    return lines


def differing(one: Change) -> tuple[str, str]:
    """The two rows by what tells them apart; the release where nothing does."""
    apart = [(a, b) for a, b in zip(one.before, one.after, strict=True) if a != b]
    apart = apart or [(one.before[0], "the same release, later")]
    return line(", ".join(a for a, _ in apart), 120), line(", ".join(b for _, b in apart), 120)
