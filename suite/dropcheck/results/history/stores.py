"""Where a history lies: a folder of results, an SQLite file, or a database by URL; and the two things done with one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.results.audit import Result
from dropcheck.results.bench import BenchResult
from dropcheck.results.history.entries import Entry, encoded, now

DEFAULT = "dropcheck-history.db"
ENDINGS = (".db", ".sqlite", ".sqlite3")
SCHEMES = ("sqlite", "postgresql")
_MAGIC = b"SQLite format 3\0"


class History(Protocol):
    """Somewhere that results are added to, and never changed or taken away."""

    shown: str

    def add(self, document: bytes, recorded: str) -> bool:
        """Keep a result file; False if this very one is kept already. Safe beside any number of other writers."""
        ...

    def entries(self) -> list[Entry]:
        """Everything that is kept, by time. Raises UsageError or ResultError where it cannot be read."""
        ...

    def document(self, run: str) -> bytes:
        """The result file of a run. Raises UsageError where it is not there, or is not what was kept."""
        ...

    def exists(self) -> bool:
        """Whether anything has been kept there yet; nothing is made by asking. Raises UsageError where it cannot be read."""
        ...


def at(place: str) -> History:
    """The history at a path or URL; nothing is made or opened yet. Raises UsageError for what can be none."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", place)
    if scheme is not None:
        base = scheme.group(1).partition("+")[0]
        if base not in SCHEMES:
            raise UsageError(
                f"--history knows no {base!r} databases; expected a path, sqlite:///PATH or postgresql://USER@HOST/NAME"
                f"{nearest(base, SCHEMES)}"
            )
        return _database(place)
    path = Path(place)
    if not place.strip():
        raise UsageError("--history takes a path or a URL, not an empty text")
    if path.is_file():
        with path.open("rb") as stream:
            start = stream.read(16)
        if start and start != _MAGIC:
            raise UsageError(
                f"--history {place} is neither an SQLite database nor a folder; expected one of these, or a URL"
            )
        return _database(f"sqlite:///{place}")
    if path.suffix.lower() in ENDINGS and not path.is_dir():
        return _database(f"sqlite:///{place}")
    from dropcheck.results.history.folder import Folder

    return Folder(path)


def _database(url: str) -> History:
    try:
        from dropcheck.results.history.database import Database
    except ImportError as error:
        raise UsageError(
            f"a history in a database needs SQLAlchemy: pip install 'dropcheck[history]' ({error}); a folder of results needs "
            "nothing: --history FOLDER"
        ) from error
    return Database(url)


def record(place: str, result: Result | BenchResult) -> str:
    """Add a result to the history there; the sentence that tells of it. Raises UsageError."""
    return record_in(at(place), result)


def record_in(history: History, result: Result | BenchResult) -> str:
    """The same for a history that is named already. What was interrupted is not kept."""
    if result.interrupted:
        return f"History {history.shown}: an interrupted run is not kept"
    new = history.add(encoded(result), now())
    return f"History {history.shown}: {'added' if new else 'this very result is kept there already'}"
