"""A trend as a page: the tables and changes of the terminal, in the style of all reports."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dropcheck.report.compare import trend_text
from dropcheck.report.compare.trend import Trends
from dropcheck.report.furniture import furniture
from dropcheck.report.templates import environment
from dropcheck.results.audit import write_atomically


def encoded(found: Trends) -> bytes:
    """The trend as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def render(found: Trends, checks: tuple[str, ...] = ()) -> str:
    """The page as text."""
    blocks = [
        {
            "target": one.target,
            "audits": (trend_text.claim_rows(one.audits) if checks else trend_text.audit_rows(one.audits))
            if one.audits
            else [],
            "benches": trend_text.bench_rows(one.benches) if one.benches else [],
            "changes": [(c, *trend_text.differing(c)) for c in one.changes],
        }
        for one in found.targets
    ]
    template = environment().get_template("trend.html.j2")
    return template.render(**furniture(), headline=trend_text.sentence(found), blocks=blocks)


def write(found: Trends, out: Path, checks: tuple[str, ...] = ()) -> None:
    """Write ``index.html`` and ``trend.json`` into the folder, each whole or not at all."""
    write_atomically(out / "trend.json", encoded(found))
    write_atomically(out / "index.html", render(found, checks).encode())
