"""A comparison in a terminal: the answer, the targets that differ, and every change with the numbers of both sides."""

from __future__ import annotations

import textwrap

from dropcheck.report import sentences
from dropcheck.report.compare import presenting
from dropcheck.report.compare.presenting import Group
from dropcheck.report.compare.records import GLYPHS, Comparison
from dropcheck.results import plain_text
from dropcheck.results.plain_text import line


def render(found: Comparison, width: int = 100) -> str:
    """The whole comparison as text."""
    out = [*presenting.sentences(found), ""]
    heads = ["", *(line(s.label, 40) for s in found.sides)]
    out += _left([heads, *([line(c, 60) for c in row] for row in presenting.releases(found))])
    out.append("")
    shown = presenting.matrix(found)
    if shown:
        rows = [["", *(line(s.label, 40) for s in found.sides), *("" for _ in found.sides[1:])]]
        for name, versions, verdicts, told in shown:
            cells = [_verdict(v, r) for v, r in zip(verdicts, versions, strict=True)]
            rows.append([line(name, 60), *cells, *(presenting.SHORT[w] for w in told)])
        out += [*_left(rows), ""]
    for word in presenting.SHOWN:
        groups, whole = presenting.groups(found, word), presenting.reasons(found, word)
        if not groups and not whole:
            continue
        out += [presenting.TITLES[word], ""]
        for reason, place, names in whole:
            pair = f" ({presenting.pairs(found)[place]})" if len(found.sides) > 2 else ""
            text = f"{plain_text.count(len(names), 'target')}{pair}, {line(reason, 300)}: {plain_text.some(names, 20)}"
            out += [*textwrap.wrap(text, width, initial_indent=f"{GLYPHS[word]} ", subsequent_indent="    "), ""]
        for group in groups:
            out += [*_group(found, group, width), ""]
    for note in found.notes:
        out += textwrap.wrap(line(note, 600), width, initial_indent="Note: ", subsequent_indent="      ")
    out += [t for sentence in presenting.promise(found) for t in textwrap.wrap(sentence, width)]
    return "\n".join(text.rstrip() for text in out).rstrip() + "\n"


def _group(found: Comparison, group: Group, width: int) -> list[str]:
    lead = group.lead
    wide = max(11, *(len(line(s.label, 40)) for s in found.sides))
    others = plain_text.count(group.cases - 1, "more case") if group.cases > 1 else ""
    lines = [
        f"{GLYPHS[group.word]} {line(group.check, 60)}   {line(lead.case, 120)}"
        + (f"   and {others}" if others else "")
    ]
    if len(found.owners) > 1:
        lines += _field("in", plain_text.some(group.targets, 8), width, wide)
    if len(found.sides) > 2:
        lines += _field("compared", presenting.pairs(found)[group.place], width, wide)
    for side, cell in zip(found.sides, lead.cells, strict=True):
        lines += _field(line(side.label, 40), presenting.numbers(cell), width, wide)
    if lead.unit:
        about = f"{line(lead.unit, 120)}" + (
            f", expected {presenting.digits(lead.expected)}" if lead.expected is not None else ""
        )
        lines += _field("unit", about, width, wide)
    lines += _field("why", group.text, width, wide)
    if command := presenting.replay(lead, group.place):
        lines.append(f"  {'rerun':<{wide}} {line(command, 1000)}")
    return lines


def _verdict(verdict: str | None, release: str) -> str:
    if verdict is None:
        return "not there"
    shown = f"{sentences.GLYPHS[verdict]} {sentences.WORDS[verdict]}"
    return f"{shown} {line(release, 40)}".rstrip()


def _left(rows: list[list[str]]) -> list[str]:
    """Columns, all to the left."""
    wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows]


def _field(name: str, text: str, width: int, column: int) -> list[str]:
    body = textwrap.wrap(line(text, 1000), max(30, width - column - 3)) or [""]
    return [f"  {name:<{column}} {body[0]}", *(" " * (column + 3) + more for more in body[1:])]
