"""A history as a folder of result files: one file a result, never changed, so that writers cannot harm each other."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import ResultError, write_atomically
from dropcheck.results.history.entries import Entry, digest, entry, in_order

_NAME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2})-(\d{2})-(\d{2}(?:\.\d+)?)Z-([0-9a-f]{32})\.json")


class Folder:
    """Results named by the moment at which they were added and by their digest; other result files count by their date.

    Two writers of one result may leave it twice, which is read as once: a name tells what it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.shown = path, str(path)
        self._files: dict[str, Path] = {}

    def exists(self) -> bool:
        return self.path.is_dir() and any(self.path.glob("*.json"))

    def add(self, document: bytes, recorded: str) -> bool:
        """Keep a result file. Raises UsageError where the folder cannot be written."""
        name = digest(document)
        if self.path.is_dir() and any(self.path.glob(f"*-{name}.json")):
            return False
        entry(document, recorded, "the result")  # what cannot be read again is not kept
        try:
            write_atomically(self.path / f"{recorded.replace(':', '-')}-{name}.json", document)
        except OSError as error:
            raise UsageError(f"--history {self.path} cannot be written: {error.strerror or error}") from error
        return True

    def entries(self) -> list[Entry]:
        """Every result of the folder; files that are no results of dropcheck are refused by name. Raises ResultError."""
        return in_order(self._read(file) for file in sorted(self.path.glob("*.json")))

    def _read(self, file: Path) -> Entry:
        try:
            document = file.read_bytes()
            written = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except OSError as error:
            raise ResultError(f"cannot read the result {file}: {error.strerror or error}") from error
        self._files[digest(document)] = file
        named = _NAME.fullmatch(file.name)
        return entry(document, f"{named[1]}:{named[2]}:{named[3]}Z" if named else written, str(file))

    def document(self, run: str) -> bytes:
        if run not in self._files:
            self.entries()
        if run not in self._files:
            raise UsageError(f"{self.shown} has no run {run!r}")
        return self._files[run].read_bytes()
