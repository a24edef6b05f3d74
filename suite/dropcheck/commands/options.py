"""Options that several commands have, word for word, and the places that they may write to."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from dropcheck.contract.errors import UsageError

Texts = list[str] | None


def complete_target(incomplete: str) -> list[str]:
    """Registered names that begin so, for a shell."""
    from dropcheck.contract.register import register

    return [name for name in register() if name.startswith(incomplete)]


def complete_check(incomplete: str) -> list[str]:
    """Families and checks that begin so, for a shell."""
    from dropcheck.judge.claims import CLAIMS, FAMILIES

    return [name for name in (*FAMILIES, *CLAIMS) if name.startswith(incomplete)]


Names = Annotated[
    Texts,
    typer.Argument(
        metavar="TARGET",
        help="Registered names, module:attr or file.py:attr.",
        autocompletion=complete_target,
    ),
]
Profile = Annotated[str, typer.Option(metavar="PROFILE", help="quick, standard or deep.")]
Pattern = Annotated[
    str | None,
    typer.Option(metavar="PATTERN", help="Which elements are dropped together, as 'n c l -> n c'."),
]
Input = Annotated[
    str | None, typer.Option("--input", metavar="SHAPE", help="Shape of a model's input, such as 8,16,32.")
]
Seed = Annotated[str | None, typer.Option(metavar="SEED", help="Root seed, or 'fresh'.")]
Jobs = Annotated[int, typer.Option(metavar="N", help="Number of targets to run in parallel; 0: as many as cores.")]
TargetLimit = Annotated[str, typer.Option(metavar="TIME", help="Stop a target after this time.")]
Memory = Annotated[int | None, typer.Option(metavar="MB", help="Most memory that the process of a layer may use.")]
Python = Annotated[str | None, typer.Option(metavar="PATH", help="The interpreter that runs the layer.")]
ResultFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result.")]
History = Annotated[
    str | None,
    typer.Option(
        "--history", metavar="PLACE", help="Add the result to this history: a folder, an SQLite file or a URL."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume an interrupted run with the same options.")]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LEVEL",
        help="The least grave failure that counts: defect, edge (rates 0 and 1, invalid rates, empty inputs) or trait.",
    ),
]
PolicyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The policy; dropcheck.toml, or [tool.dropcheck] of pyproject.toml.")
]


def writable_file(path: Path | None, option: str) -> None:
    """Raise UsageError unless a file can be written there; nothing is overwritten by asking."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; expected the path of a file")
    _writable_folder(path.parent, option, path)


def writable_folder(path: Path | None, option: str) -> None:
    """Raise UsageError unless files can be written into the folder, which is made if it is missing."""
    if path is not None:
        _writable_folder(path, option, path)


def _writable_folder(folder: Path, option: str, shown: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        test = folder / f".dropcheck-{os.getpid()}-{secrets.token_hex(4)}"
        test.touch()
        test.unlink()
    except OSError as error:
        raise UsageError(f"{option} {shown} cannot be written: {error.strerror or error}") from error


def resumable(resume: bool, journal: Path | None) -> None:
    """Raise UsageError where a run shall be resumed and has no result, beside which it would be kept."""
    if resume and journal is None:
        raise UsageError(
            "--resume continues the run of a result: give the --out DIR or --json FILE of the interrupted run"
        )


def history(place: str | None) -> None:
    """Refuse, before anything runs, what cannot be a history. Raises UsageError."""
    if place is not None:
        from dropcheck.results.history import stores

        stores.at(place).exists()
