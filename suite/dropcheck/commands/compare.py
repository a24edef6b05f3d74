"""``dropcheck compare``: what changed between stored results, of audits by their numbers, of benches by their ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropcheck.commands import options
from dropcheck.commands.report import chosen, out_text, width
from dropcheck.contract.errors import UsageError

if TYPE_CHECKING:
    from dropcheck.results.audit import Result
    from dropcheck.results.bench import BenchResult

FORMATS = ("text", "markdown", "json", "html")
_ENDINGS = {"text": "txt", "markdown": "md", "json": "json", "html": "html"}


def compare(
    old: Annotated[
        Path | None, typer.Argument(metavar="OLD", help="A stored result, with which the others are compared.")
    ] = None,
    new: Annotated[list[Path] | None, typer.Argument(metavar="NEW", help="Results that are compared with OLD.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the comparison.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write the comparison in every format, or in those of --format: compare.html, ...",
        ),
    ] = None,
    formats: Annotated[
        options.Texts,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="text (default), markdown, json or html; html needs --out. Benchmarks: no html.",
        ),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Of benchmarks: differences below this share count as the same; default .03.")
    ] = None,
    level: Annotated[
        float | None, typer.Option(help="Of benchmarks: probability of a false alarm per target; default .01.")
    ] = None,
) -> None:
    """Compare stored results: what got worse, got better, appeared or disappeared.

    Targets are paired by name; of files with one target each, these are the pair, whatever their names are.
    """
    from dropcheck.judge import recomputing
    from dropcheck.results import reading
    from dropcheck.results.audit import Result
    from dropcheck.results.bench import BenchResult

    if old is None or not new:
        given = "none was given" if old is None else f"only {old} was given"
        raise UsageError(f"compare takes two stored results or more, OLD and NEW: {given}")
    options.writable_file(json_file, "--json")
    options.writable_folder(out, "--out")
    wanted = chosen(formats, FORMATS, "html", out)
    paths = [old, *new]
    loaded = [reading.load(path) for path in paths]
    kinds = {one.kind for one in loaded}
    if kinds == {"bench"}:
        if "html" in wanted:
            raise UsageError("benchmarks are compared as text, markdown or json, not html")
        benches = [one for one in loaded if isinstance(one, BenchResult)]
        _benches(benches, paths, _Shown(json_file, out, wanted), margin, level)
    if kinds != {"audit"}:
        told = ", ".join(f"{path} is of kind {one.kind}" for path, one in zip(paths, loaded, strict=True))
        raise UsageError(f"compare takes results of one kind, audits or benchmarks: {told}")
    if margin is not None or level is not None:
        raise UsageError("--margin and --level apply to benchmarks; audits are compared at the levels of their results")
    audits = [one for one in loaded if isinstance(one, Result)]
    gone = [
        f"{path}: {text}"
        for one, path in zip(audits, paths, strict=True)
        for text in recomputing.verified(one, str(path)).missing
    ]
    _audits(audits, paths, _Shown(json_file, out, wanted), gone)


@dataclass(frozen=True)
class _Shown:
    """Where a comparison is written, and in which formats it is shown; without any, as text and in files of every format."""

    json_file: Path | None
    out: Path | None
    formats: tuple[str, ...]

    def show(self, made: Mapping[str, Callable[[], str]]) -> None:
        """Write the files and print. ``made``: how each format is made, the usual one first."""
        from dropcheck.results.audit import write_atomically

        if self.json_file is not None:
            write_atomically(self.json_file, made["json"]().encode())
        usual = next(iter(made))
        if self.out is None:
            for one in self.formats or (usual,):
                out_text(made[one]())
            return
        for one in self.formats or made:
            write_atomically(self.out / f"compare.{_ENDINGS[one]}", made[one]().encode())
        out_text(made[usual]())


def _audits(loaded: Sequence[Result], paths: Sequence[Path], shown: _Shown, gone: Sequence[str]) -> None:
    import msgspec

    from dropcheck.report.compare import audits, markdown, page, records, text

    found = audits.compare(loaded, [str(path) for path in paths])
    found = msgspec.structs.replace(found, notes=[*found.notes, *gone])
    made: dict[str, Callable[[], str]] = {
        "text": lambda: text.render(found, width()),
        "markdown": lambda: markdown.render(found),
        "html": lambda: page.render(found),
        "json": lambda: records.encode(found).decode(),
    }
    shown.show(made)
    if shown.out is not None and "html" in (shown.formats or ("html",)):
        out_text(f"Report: {shown.out / 'compare.html'}")
    raise typer.Exit(records.exit_code(found) or (3 if gone else 0))


def _benches(
    loaded: Sequence[BenchResult],
    paths: Sequence[Path],
    shown: _Shown,
    margin: float | None,
    level: float | None,
) -> None:
    """Ends the command with the gravest exit code over all pairs with the first."""
    import msgspec

    from dropcheck.report import bench as text
    from dropcheck.report.compare import benches as comparing
    from dropcheck.speed import ratio

    allowed, alarms = ratio.MARGIN if margin is None else margin, ratio.LEVEL if level is None else level
    ratio.accepted(allowed, alarms)
    told, changes, codes = [], [], []
    for path, one in zip(paths[1:], loaded[1:], strict=True):
        found = comparing.compare(loaded[0], one, allowed, alarms)
        codes.append(comparing.exit_code(found))
        changes.append({"old": str(paths[0]), "new": str(path), "changes": found})
        head = f"{path} against {paths[0]}\n\n" if len(loaded) > 2 else ""
        told.append(head + text.changes(found, allowed))
    data = msgspec.json.format(
        msgspec.json.encode({"schema": "dropcheck.comparison/1", "kind": "bench-comparison", "pairs": changes}),
        indent=1,
    )
    whole = "\n".join(told)
    shown.show(
        {
            "text": lambda: whole,
            "markdown": lambda: f"```text\n{whole.rstrip()}\n```\n",
            "json": lambda: data.decode() + "\n",
        }
    )
    raise typer.Exit(next((code for code in (1, 3) if code in codes), 0))


def add(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("compare")(compare)
