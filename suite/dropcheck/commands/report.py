"""``dropcheck report``: stored results of every kind as one page, as Markdown, as tables, or as text."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropcheck.commands import options
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import option_values

if TYPE_CHECKING:
    from dropcheck.results.audit import Result
    from dropcheck.results.bench import BenchResult
    from dropcheck.results.selftest import SelfTest

FORMATS = ("text", "html", "markdown", "csv", "parquet")
DEFAULT = ("html", "markdown")
Texts = list[str] | None


def width() -> int:
    """Columns of the terminal, within reason."""
    return max(60, min(140, shutil.get_terminal_size((100, 24)).columns))


def colour() -> bool:
    """Whether standard output takes colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def out_text(text: str) -> None:
    """Print a text that ends with one line end."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Given:
    """What the files hold, by kind: one audit of all, the benches, and the self-test."""

    audit: Result | None
    benches: tuple[BenchResult, ...]
    selftest: SelfTest | None
    recomputed: tuple[str, ...]
    missing: tuple[str, ...] = ()


def gathered(files: Sequence[Path]) -> Given:
    """Read the files, and compute every verdict of the audits again. Raises ResultError and UsageError."""
    from dropcheck.judge import recomputing
    from dropcheck.results import reading
    from dropcheck.results.audit import Result
    from dropcheck.results.selftest import SelfTest

    audits: list[tuple[Result, str]] = []
    benches: list[BenchResult] = []
    selftests: list[SelfTest] = []
    said, gone = [], []
    for path in files:
        for one in reading.load_all(path):
            if isinstance(one, Result):
                done = recomputing.verified(one, str(path))
                said.append(done.sentence)
                gone += [f"{path}: {text}" for text in done.missing]
                audits.append((one, str(path)))
            elif isinstance(one, SelfTest):
                selftests.append(one)
            else:
                benches.append(one)
    if len(selftests) > 1:
        raise UsageError(f"one report takes one self-test, not {len(selftests)}; report each by itself")
    whole = reading.together([one for one, _ in audits], [name for _, name in audits]) if audits else None
    return Given(whole, tuple(benches), selftests[0] if selftests else None, tuple(said), tuple(gone))


def report(
    files: Annotated[
        list[Path], typer.Argument(metavar="RESULT", help="Stored results: JSON (also .gz, .xz), pages, folders.")
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the report into this folder.")] = None,
    formats: Annotated[
        Texts,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="text (default), markdown; with --out html, markdown (both by default), text, csv, parquet.",
        ),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Largest size of the Markdown: 1MiB for a job summary, 64KiB for a comment."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also say how the verdicts were recomputed from the stored numbers.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Show all causes, the numbers of each check, passes, what was skipped, traits."
        ),
    ] = False,
) -> None:
    """Write one report from stored results of audits, benchmarks and a self-test."""
    from dropcheck.report import fitting

    options.writable_folder(out, "--out")
    wanted = chosen(formats, FORMATS, None, out)
    most = fitting.limit(limit) if limit is not None else None
    if out is None and (beyond := [f for f in wanted if f not in ("text", "markdown")]):
        raise UsageError(f"--format {beyond[0]} writes files: give the folder with --out DIR")
    if most is not None and out is None and "markdown" not in wanted:
        raise UsageError("--limit is of the Markdown: give --format markdown, or --out DIR")
    given = gathered(files)
    if out is not None:
        for path in written(given, out, wanted or DEFAULT, most, verbose):
            out_text(f"Report: {path}")
    for one in () if out is not None else wanted or ("text",):
        out_text(_markdown(given, most) if one == "markdown" else _text(given, verbose))
    for sentence in given.recomputed if verify else ():
        out_text(sentence)
    for sentence in given.missing:
        print(f"dropcheck: {sentence}", file=sys.stderr)
    raise typer.Exit(_exit_code(given))


def chosen(given: Texts, known: Sequence[str], file: str | None, out: Path | None) -> tuple[str, ...]:
    """The formats that ``--format`` names, once each. ``file``: one that is a file and needs ``--out``. Raises UsageError."""
    wanted = tuple(dict.fromkeys(option_values.listed(given or ())))
    for one in wanted:
        if one not in known:
            raise UsageError(f"there is no format {one!r}; expected {', '.join(known)}{nearest(one, known)}")
    if out is None and file in wanted:
        raise UsageError(f"--format {file} writes files: give the folder with --out DIR")
    return wanted


def written(given: Given, out: Path, formats: Sequence[str], most: int | None, verbose: bool = False) -> list[Path]:
    """Write the report in these formats; returns the files that a reader opens first."""
    from dropcheck.report import tables
    from dropcheck.results.audit import write_atomically

    made = []
    if "html" in formats:
        made.append(_page(given, out))
    if "markdown" in formats:
        text = _markdown(given, most)
        made.append(out / "report.md")
        write_atomically(made[-1], text.encode())
    if "text" in formats:
        made.append(out / "report.txt")
        write_atomically(made[-1], _text(given, verbose, coloured=False).encode())
    return made + tables.write(given.audit, given.benches, out, formats)


def _page(given: Given, out: Path) -> Path:
    from dropcheck.report import bench as text
    from dropcheck.report import html
    from dropcheck.report import selftest as selftest
    from dropcheck.results import bench as records
    from dropcheck.results.audit import write_atomically

    for place, bench in enumerate(given.benches):
        name = "bench" if len(given.benches) == 1 else f"bench-{place + 1}"
        records.save(bench, out / f"{name}.json")
        write_atomically(out / f"{name}.txt", text.render(bench, 110).encode())
    if given.audit is not None:
        html.write(given.audit, out, benches=given.benches, selftest=given.selftest)
        return out / "index.html"
    if given.selftest is not None:
        selftest.write(given.selftest, out)
    if given.benches:
        write_atomically(out / "index.html", html.render(None, benches=given.benches, selftest=given.selftest).encode())
    return out / "index.html"


def _markdown(given: Given, most: int | None) -> str:
    from dropcheck.report import markdown
    from dropcheck.report import selftest as selftest

    if given.audit is None and not given.benches and given.selftest is not None and most is None:
        return selftest.markdown(given.selftest)
    return markdown.render(given.audit, benches=given.benches, selftest=given.selftest, most=most)


def _text(given: Given, verbose: bool, coloured: bool = True) -> str:
    from dropcheck.report import bench as text
    from dropcheck.report import selftest as selftest
    from dropcheck.report.text import render

    parts = []
    if given.audit is not None:
        parts.append(render(given.audit, width=width(), colour=coloured and colour(), every=verbose))
    parts += [text.render(bench, width()) for bench in given.benches]
    if given.selftest is not None:
        parts.append(selftest.summary(given.selftest))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _exit_code(given: Given) -> int:
    """The gravest of all: a failure outranks what could not be measured, which outranks missing evidence."""
    from dropcheck.commands import selftest as selftest
    from dropcheck.judge import levels
    from dropcheck.results import bench as records

    codes = [records.exit_code(bench) for bench in given.benches]
    if given.audit is not None:
        codes.append(levels.exit_code(given.audit))
    if given.selftest is not None:
        codes.append(selftest.exit_code(given.selftest))
    return next((code for code in (1, 2, 3) if code in codes), 0)


def add(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("report")(report)
