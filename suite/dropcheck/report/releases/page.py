"""The table of releases as a page and as Markdown, and all files of the report."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.report.field import command as field
from dropcheck.report.furniture import furniture
from dropcheck.report.releases import confirming, records, words
from dropcheck.report.releases.records import Table
from dropcheck.report.templates import environment
from dropcheck.results import audit as results
from dropcheck.results import plain_text
from dropcheck.results.audit import Result, write_atomically


def write(table: Table, result: Result, out: Path, command: str) -> None:
    """All files of the report, each whole or not at all: the page, Markdown, the table, and the result of every audit."""
    data = field.without_folders(records.encode(confirming.portable(table)))
    table = records.decode(data, str(out / "releases.json"))
    result = msgspec.structs.replace(result, argv=command.split()[1:])
    write_atomically(out / "result.json.xz", lzma.compress(field.without_folders(results.encode(result)), preset=6))
    write_atomically(out / "releases.json", data)
    write_atomically(out / "README.md", markdown(table, command).encode())
    write_atomically(out / "index.html", html(table, command).encode())


def html(table: Table, command: str) -> str:
    """One self-contained page."""
    return environment().get_template("releases.html.j2").render(**{**furniture(), **_context(table, command)})


def markdown(table: Table, command: str) -> str:
    """The same as Markdown."""
    return environment(html=False).get_template("releases.md.j2").render(**_context(table, command))


def _context(table: Table, command: str) -> dict[str, Any]:
    return {
        "table": table,
        "w": words,
        "titles": words.TITLES,
        "headline": words.headline(table),
        "command": command,
        "count": plain_text.count,
    }
