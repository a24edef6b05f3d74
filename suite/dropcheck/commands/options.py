"""From the words of the command line to values: durations, lists, shapes, seeds, and places that can be written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dropcheck.contract.errors import UsageError


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
        from dropcheck.results.history import stores as places

        places.at(place).exists()
