"""``dropcheck trend``: verdicts and ratios over releases, from a history of results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropcheck.commands import options
from dropcheck.commands.report import out_text, width
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import option_values

if TYPE_CHECKING:
    from dropcheck.results.history.stores import History

Texts = list[str] | None


def trend(
    names: Annotated[Texts, typer.Argument(metavar="TARGET", help="Only these targets.")] = None,
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            metavar="PLACE",
            help="A folder, an SQLite file or a URL; $DROPCHECK_HISTORY or dropcheck-history.db by default.",
        ),
    ] = None,
    check: Annotated[Texts, typer.Option("--check", metavar="CHECK", help="Only these checks or families.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="Only runs from this day (UTC) on.")] = None,
    last: Annotated[int, typer.Option(metavar="N", help="Only the last N rows of each target.")] = 0,
    add: Annotated[
        list[Path] | None,
        typer.Option(
            "--add", metavar="RESULT", help="Add stored results of audits and benchmarks to the history first."
        ),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the trend as JSON.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write index.html and trend.json.")] = None,
) -> None:
    """Show verdicts and speed ratios over releases, from the results that --history keeps."""
    from dropcheck.report.compare import trend as releases
    from dropcheck.report.compare import trend_page, trend_text
    from dropcheck.results.history import stores
    from dropcheck.results.history.entries import moment

    place = history or os.environ.get("DROPCHECK_HISTORY") or stores.DEFAULT
    begun = moment(since, "--since") if since is not None else ""
    if last < 0:
        raise UsageError(f"--last takes a number of at least 0, not {last}")
    checks = _checks(option_values.listed(check or ()))
    options.writable_file(json_file, "--json")
    options.writable_folder(out, "--out")
    kept = stores.at(place)
    for file in add or ():
        out_text(_added(kept, file))
    if not kept.exists():
        out_text(f"There is no history at {kept.shown} yet: dropcheck audit TARGET --history {kept.shown} begins one.")
        raise typer.Exit(3)
    found = releases.trends(kept, tuple(names or ()), checks, begun, last)
    if names:
        _known(kept, names)
    if json_file is not None:
        from dropcheck.results.audit import write_atomically

        write_atomically(json_file, trend_page.encoded(found))
    if out is not None:
        trend_page.write(found, out, checks)
    out_text(trend_text.render(found, width(), checks))
    if out is not None:
        out_text(f"Report: {out / 'index.html'}")
    raise typer.Exit(0 if found.targets else 3)


def _checks(words: tuple[str, ...]) -> tuple[str, ...]:
    from dropcheck.judge.checks import matching

    return tuple(one.name for one in matching(words)) if words else ()


def _known(kept: History, names: list[str]) -> None:
    """Raise UsageError for a target that the history has never seen."""
    seen = {one.target for entry in kept.entries() for one in entry.targets}
    for name in names:
        if name not in seen:
            raise UsageError(f"the history {kept.shown} has no target {name!r}{nearest(name, sorted(seen))}")


def _added(kept: History, file: Path) -> str:
    from dropcheck.results import reading
    from dropcheck.results.audit import Result
    from dropcheck.results.bench import BenchResult
    from dropcheck.results.history.stores import record_in

    told = []
    for one in reading.load_all(file):
        if not isinstance(one, Result | BenchResult):
            raise UsageError(f"{file} is a {one.kind}; a history keeps audits and benchmarks")
        told.append(record_in(kept, one))
    return "\n".join(told)


def add(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("trend")(trend)
