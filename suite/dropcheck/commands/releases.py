"""Commands about other releases: ``bisect`` over them, and the cache of their ``environments``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dropcheck.commands import options
from dropcheck.plan import option_values


def bisect_command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A registered name, module:attr or file.py:attr.")],
    check: Annotated[str, typer.Option("--check", metavar="CHECK", help="The check that begins to fail.")],
    package: Annotated[str, typer.Option("--package", metavar="NAME", help="The package whose releases are tried.")],
    first: Annotated[str, typer.Option("--from", metavar="RELEASE", help="A release in which the check passes.")],
    last: Annotated[str, typer.Option("--to", metavar="RELEASE", help="A later release in which it fails.")],
    beside: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="REQUIREMENTS", help="What every environment needs beside the package."),
    ] = None,
    profile: options.Profile = "quick",
    pre: Annotated[bool, typer.Option("--pre", help="Try pre-releases too.")] = False,
    python: Annotated[str | None, typer.Option(metavar="PATH", help="Base interpreter of the environments.")] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="Limit of one release.")] = "10m",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was found.")] = None,
) -> None:
    """Find the first release of a package in which a check fails."""
    from dropcheck.auditing import bisection
    from dropcheck.contract import requirements
    from dropcheck.results.audit import write_atomically

    options.writable_file(json_file, "--json")
    question = bisection.Question(
        target=target,
        check=check,
        package=package,
        beside=tuple(word for text in beside or () for word in requirements.read(text)),
        profile=profile,
        python=python,
        timeout_s=option_values.duration(timeout, "--timeout"),
        argv=tuple(sys.argv[1:]),
    )

    def say(one: bisection.Trial) -> None:
        print(f"{package} {one.release}: {one.outcome}", file=sys.stderr, flush=True)

    found = bisection.bisect(question, first, last, pre, say)
    if json_file is not None:
        write_atomically(json_file, bisection.encode(found))
    typer.echo(bisection.table(found))
    raise typer.Exit(0 if found.first_failing is not None else 3)


def environments_command(
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="KEY", help="Remove one by its key, or all.")
    ] = None,
) -> None:
    """List or remove the environments that --with and bisect built."""
    from dropcheck.plan import release_environments

    for key in remove or ():
        for one in release_environments.remove(key):
            typer.echo(f"removed {one.key}  {' '.join(one.requirements)}")
    if remove:
        return
    rows = release_environments.listed()
    for one in rows:
        typer.echo(f"{one.key}  {one.size_mb:7.1f} MB  built {one.built}  {' '.join(one.requirements)}")
    total = sum(one.size_mb for one in rows)
    typer.echo(f"{len(rows)} environment{'s' * (len(rows) != 1)} of {total:.0f} MB in {release_environments.cache()}")


def add(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("bisect")(bisect_command)
    app.command("environments")(environments_command)
