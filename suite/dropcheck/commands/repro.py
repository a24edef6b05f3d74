"""The command ``repro``: a failing finding as a script of its own, ready for an upstream issue."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropcheck.commands import options
from dropcheck.commands.report import out_text, width
from dropcheck.contract.errors import UsageError, nearest
from dropcheck.plan import option_values
from dropcheck.results.plain_text import count, line

if TYPE_CHECKING:
    from dropcheck.results.audit import Finding, TargetResult


def _chosen(place: str, words: list[str]) -> tuple[list[tuple[int, Any, Any]], bool]:
    """(number, target, finding) of what was named, and whether exactly one was named. Raises UsageError."""
    from dropcheck.report.reproduction import failing
    from dropcheck.results import reading

    file, mark, number = place.rpartition("#")
    if mark and not number.isdigit():
        raise UsageError(f"{place}: after '#' stands the number of a failure, such as {file}#1")
    path = Path(file if mark else place)
    every = [(n, t, f) for n, (t, f) in enumerate(failing(reading.load_audit(path)), 1)]
    if not every:
        raise UsageError(f"{path} holds no failure: there is nothing to reproduce")
    if mark:
        some = [one for one in every if one[0] == int(number)]
        if not some:
            raise UsageError(f"{path} has {len(every)} failures: there is no {place}; the last is {path}#{len(every)}")
        return some, True
    for place_in, word in enumerate(words[:3]):
        have = [(one[1].target, one[2].check, one[2].case)[place_in] for one in every]
        if word not in have:
            what = ("target", "check", "case")[place_in]
            raise UsageError(f"{path} has no failure of the {what} {word!r}{nearest(word, have)}")
        every = [one for one, value in zip(every, have, strict=True) if value == word]
    return every, len(every) == 1


def repro_command(
    place: Annotated[
        str, typer.Argument(metavar="RESULT[#N]", help="A stored result, and the number of a failure in it.")
    ],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TARGET CHECK CASE", help="Or its target, check and case.")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run the scripts: does each show its failure?")] = False,
    every: Annotated[bool, typer.Option("--all", help="Scripts of all failures that were named.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="Write one script to this file, or several into this folder."),
    ] = None,
    python: Annotated[str | None, typer.Option(metavar="PATH", help="Interpreter that runs the script.")] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="Limit of one script.")] = "5m",
) -> None:
    """Write a failure as a script of a few lines that needs the framework and NumPy only, for an upstream issue."""
    from dropcheck.report import reproduction

    limit = option_values.duration(timeout, "--timeout")
    chosen, alone = _chosen(place, words or [])
    path = place.partition("#")[0]
    if not alone and not every:
        if words:
            for number, target, found in chosen:
                typer.echo(f"{path}#{number}  {target.target}  {found.check}  {found.case}\n    {found.message}")
            typer.echo(
                f"\n{count(len(chosen), 'failure')}. One script: dropcheck repro {path}#{chosen[0][0]}; all: --all."
            )
        else:
            out_text(_causes(path, chosen))
        return
    if out is not None and not every:
        options.writable_file(out, "--out")
    elif out is not None:
        options.writable_folder(out, "--out")
    shown = unshown = without = 0
    for number, target, found in chosen:
        try:
            script = reproduction.write(target, found)
        except UsageError as error:
            if alone:
                raise
            without += 1
            typer.echo(f"{path}#{number}  no script: {error}")
            continue
        where = _written(script, out, every, number, target.target, found.check)
        if not run:
            typer.echo(where if where else script, nl=bool(where))
            continue
        told = reproduction.confirm(target, found, python, limit)
        name = f"{path}#{number}  {target.target}  {found.check}  {found.case}"
        if isinstance(told, reproduction.Confirmed):
            shown += 1
            control = f"\n    control:  {told.control}" if told.control else ""
            typer.echo(f"confirmed      {name}\n    expected: {told.expected}\n    observed: {told.observed}{control}")
        else:
            unshown += 1
            lines = "".join(f"\n    {line}" for line in told.output.splitlines()[-8:])
            typer.echo(f"{told.word:13}  {name}{lines}")
    if run:
        if len(chosen) > 1:
            typer.echo(f"\n{shown} confirmed, {unshown} not confirmed, {without} without a script.")
        raise typer.Exit(0 if not unshown and not without else 1)


def _causes(path: str, chosen: Sequence[tuple[int, TargetResult, Finding]]) -> str:
    """Every cause on one line, worst first, with the number of the failure that shows it best; how to get a script."""
    from dropcheck.judge.diagnosis import diagnose
    from dropcheck.judge.levels import LEVELS

    numbers = {id(found): number for number, _, found in chosen}
    targets = {id(target): target for _, target, _ in chosen}
    found = [(target, cause) for target in targets.values() for cause in diagnose(target)]
    found.sort(key=lambda pair: LEVELS.index(pair[1].level))
    lines, first = [], ""
    for level in LEVELS:
        some = [(target, cause) for target, cause in found if cause.level == level]
        if some:
            lines += ["", count(len(some), {"defect": "defect", "edge": "edge case", "trait": "trait"}[level])]
        for target, cause in some:
            known = [numbers[id(one)] for one in (cause.lead, *cause.findings) if id(one) in numbers]
            place = f"{path}#{known[0]}" if known else path
            first = first or place
            more = f" ({count(len(cause.findings), 'failure')})" if len(cause.findings) > 1 else ""
            told = f"{line(target.target)}  {cause.check}: {line(cause.observed, 200)}{more}"
            lines += textwrap.wrap(told, width(), initial_indent=f"  {place}  ", subsequent_indent="      ")
    one = chosen[0]
    return "\n".join(
        [
            *lines[1:],
            "",
            f"{count(len(chosen), 'failure')}, {count(len(found), 'cause')}.",
            f"One script:   dropcheck repro {first}",
            f"All scripts:  dropcheck repro {path} --all --out DIR",
            f"Its cases:    dropcheck repro {path} {shlex.quote(one[1].target)} CHECK",
        ]
    )


def _written(script: str, out: Path | None, every: bool, number: int, target: str, check: str) -> str:
    """Where the script was written; an empty text if it is to be printed."""
    from dropcheck.results.audit import write_atomically

    if out is None:
        return ""
    plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in f"{target}_{check}")
    from dropcheck.report.reproduction.javascript import is_javascript

    file = out / f"{number:03d}_{plain}.{'js' if is_javascript(script) else 'py'}" if every else out
    write_atomically(file, script.encode())
    return str(file)


def add(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("repro")(repro_command)
