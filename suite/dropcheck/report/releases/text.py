"""The table of releases in a terminal: the answer, one table a package, and each change in a sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from dropcheck.report.releases import words
from dropcheck.report.releases.records import Package, Table
from dropcheck.results.plain_text import line


def render(table: Table, width: int = 100) -> str:
    """The whole table as text."""
    out = [*textwrap.wrap(words.headline(table), width), ""]
    for package in table.packages:
        out += [*_package(package, width), ""]
    return "\n".join(text.rstrip() for text in out).rstrip() + "\n"


def _package(package: Package, width: int) -> list[str]:
    out = [*textwrap.wrap(line(words.of_package(package), 600), width), ""]
    heads = [package.name, *(column.release for column in package.columns)]
    rows = [heads]
    for owner in package.owners:
        cells = [words.whole(c, column) for c, column in zip(owner.cells, package.columns, strict=True)]
        rows.append([line(owner.target, 60), *cells])
    out += [*columns(rows), ""]
    rows = []
    for _, some in words.groups(package):
        for one in some:
            name = f"{line(one.target, 60)} {one.check}" + (f" ({text})" if (text := words.dtypes(one)) else "")
            cells = [words.cell(c, column) for c, column in zip(one.cells, package.columns, strict=True)]
            rows.append([name, *cells, words.since(one)])
    if rows:
        out += [*columns([["check", *heads[1:], ""], *rows]), ""]
    for word, some in words.groups(package):
        if word == "fails":
            continue
        for one in some:
            for text in words.told(package, one):
                out += textwrap.wrap(line(f"{one.target}: {text}", 600), width, subsequent_indent="    ")
            if one.silent:
                out += textwrap.wrap(
                    f"{one.script} shows it in {one.shown} and shows nothing in {one.silent}.",
                    width,
                    initial_indent="    ",
                    subsequent_indent="    ",
                )
    for why in words.reasons(package):
        out += textwrap.wrap(line(why, 400), width, subsequent_indent="    ")
    return [*out, *(text for note in package.notes for text in textwrap.wrap(note, width))]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns, all to the left."""
    wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows]
