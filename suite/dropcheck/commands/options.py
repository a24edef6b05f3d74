"""Options that several commands have, word for word, and the places that they may write to."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from dropcheck.contract.errors import UsageError

Texts = list[str] | None

Names = Annotated[Texts, typer.Argument(metavar="[TARGET]...", help="Registered names, module:attr or file.py:attr.")]
Profile = Annotated[str, typer.Option(help="quick, standard or deep.")]
Pattern = Annotated[str | None, typer.Option(metavar="PATTERN", help="Declare which axes share a coin.")]
Input = Annotated[
    str | None, typer.Option("--input", metavar="SHAPE", help="Shape of a model's input, such as 8,16,32.")
]
Seed = Annotated[str | None, typer.Option(metavar="SEED", help="Root seed, or 'fresh'.")]
Jobs = Annotated[int, typer.Option(help="Targets at once; 0: as many as cores.")]
TargetLimit = Annotated[str, typer.Option(metavar="TIME", help="Limit of one target.")]
Memory = Annotated[int | None, typer.Option(metavar="MB", help="Limit of a worker's resident memory.")]
Python = Annotated[str | None, typer.Option(metavar="PATH", help="Interpreter of the worker.")]
ResultFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result.")]
History = Annotated[
    str | None,
    typer.Option(
        "--history", metavar="PLACE", help="Add the result to this history: a folder, an SQLite file or a URL."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run of the same options.")]
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


def history(place: str | None) -> None:
    """Refuse, before anything runs, what cannot be a history. Raises UsageError."""
    if place is not None:
        from dropcheck.results.history import stores

        stores.at(place).exists()
