"""Journals: a head that names the request, and one typed line for everything finished, so that a killed run can go on.

A line is on the disk when ``append`` returns. A kill can cut the last line short: it is left out when the journal is read.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import DiskFull, full, write_atomically


class Head(msgspec.Struct, frozen=True):
    """The first line. ``journal``: the format; ``request``: a fingerprint of what was asked, the same in a run that goes on."""

    journal: str
    request: str


SomeHead = TypeVar("SomeHead", bound=Head | None)
Line = TypeVar("Line", bound=msgspec.Struct)
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Journal(Generic[SomeHead, Line]):
    """The journal of one run at one place.

    ``head``      what a journal of this run begins with; None: a file of lines alone, which any run may go on with.
    ``line``      the type of its lines.
    ``owner``     whose journal it is: "a bench".
    ``other``     what another request is to be answered: what differs, and what to do.
    ``again``     what to do once there is room on the disk.
    ``infinite``  whether its numbers may be infinite or no numbers, as Python's json writes them.
    """

    path: Path
    head: SomeHead
    line: type[Line]
    owner: str
    other: str
    again: str = "repeat the command with --resume"
    infinite: bool = False

    def read(self) -> tuple[SomeHead, list[Line]] | None:
        """The head and the lines of a run that ended early; None where there is no journal.

        Raises UsageError for another request's journal, for a file that is none, and for a damaged line.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"the journal {self.path} cannot be read: {error.strerror or error}") from error
        head, first = self.head, 0
        if head is not None:
            head, first = self._head(lines[0], head), 1
        found = []
        for number, text in enumerate(lines[first:], first + 1):
            try:
                if text:
                    found.append(self._decoded(text, self.line))
            except (ValueError, RecursionError) as error:
                if number < len(lines):  # the last one has no newline behind it: the kill cut it short
                    raise UsageError(f"the journal {self.path} is damaged at line {number}: {error}") from error
        return head, found

    def begin(self, lines: Iterable[Line], head: SomeHead | None = None) -> None:
        """Start the file anew with what is finished already. Raises UsageError where it cannot be written."""
        first = head or self.head
        data = json.dumps(msgspec.to_builtins(first)).encode() + b"\n" if first is not None else b""
        try:
            write_atomically(self.path, data + b"".join(map(self._encoded, lines)))
        except DiskFull as error:
            raise UsageError(f"the journal {self.path} cannot be written: the disk is full") from error
        except OSError as error:
            raise UsageError(f"the journal {self.path} cannot be written: {error.strerror or error}") from error

    def append(self, line: Line, kept: str) -> None:
        """Add one line; it is on the disk when this returns. Raises UsageError; the journal then ends before it.

        ``kept``: what the journal holds without it, for the sentence of the error.
        """
        before = None
        try:
            before = self.path.stat().st_size
            with open(self.path, "ab", buffering=0) as stream:
                data = memoryview(self._encoded(line))
                while data:
                    data = data[stream.write(data) :]
                os.fsync(stream.fileno())
        except OSError as error:
            if before is not None:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, before)  # half a line would damage what is written behind it
            why = "the disk is full" if full(error) else error.strerror or error
            raise UsageError(
                f"the journal {self.path} cannot be written: {why}. It keeps {kept}: make room and {self.again}"
            ) from error

    def _head(self, text: bytes, mine: Head) -> Any:
        try:
            head = self._decoded(text, type(mine))
        except (ValueError, RecursionError):
            raise UsageError(
                f"{self.path} is no journal of {self.owner}: nothing to resume; run without --resume"
            ) from None
        if (head.journal, head.request) != (mine.journal, mine.request):
            raise UsageError(f"the journal {self.path} belongs to {self.other}, or run without --resume")
        return head

    def _encoded(self, line: Line) -> bytes:
        plain = json.dumps(msgspec.to_builtins(line)).encode() if self.infinite else msgspec.json.encode(line)
        return plain + b"\n"

    def _decoded(self, text: bytes, kind: type[Kind]) -> Kind:
        if self.infinite:
            return msgspec.convert(json.loads(text), kind)
        return msgspec.json.decode(text, type=kind)
