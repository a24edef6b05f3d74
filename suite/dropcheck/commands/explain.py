"""``dropcheck explain``: a check in plain words, or what a target does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropcheck.commands import options
from dropcheck.commands.report import out_text, width
from dropcheck.plan import option_values


def complete(incomplete: str) -> list[str]:
    """Checks and registered names that begin so, for a shell."""
    return [*options.complete_check(incomplete), *options.complete_target(incomplete)]


def explain(
    name: Annotated[
        str,
        typer.Argument(metavar="CHECK|TARGET", help="A check, a family or a target.", autocompletion=complete),
    ],
    pattern: options.Pattern = None,
    inference: Annotated[
        str | None, typer.Option(metavar="WORD", help="What inference returns: identity, keep or active.")
    ] = None,
    given: options.Input = None,
    python: options.Python = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 if the target is marked ✗: a test that takes seconds.")
    ] = False,
) -> None:
    """Explain a check, or draw which elements a target drops together, beside plain Dropout."""
    from dropcheck.report import explain_check

    if pattern is None and ":" in name:  # a target of the user's: its project may say what it follows
        from dropcheck.gate import project_options

        project = project_options.read(Path())
        if (pattern := project.patterns.get(name)) is not None:
            print(project.sentence({"pattern": pattern}))
    wanted = option_values.inference(inference)
    sizes = option_values.shape(given, "--input") if given is not None else None
    told = explain_check.explained(name, width(), pattern=pattern, python=python, shape=sizes, inference=wanted)
    out_text(told.text)
    raise typer.Exit(1 if check and told.wrong else 0)


def add(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("explain")(explain)
