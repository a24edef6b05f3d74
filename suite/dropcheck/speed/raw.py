"""Everything that was measured, and the journal that keeps it on disk while a bench runs, a line a round of processes."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import write_atomically
from dropcheck.results.bench import Audit, Host, Sample, Setup

MARK = "dropcheck.bench.journal/1"


@dataclass(frozen=True)
class Problem:
    """Why a target has no time in a cell: ``skipped`` (does not apply), ``disqualified`` or ``error``."""

    state: str
    reason: str
    details: str = ""


@dataclass
class Raw:
    """Everything that was measured. ``opened``: what each target's worker said of it; keys of the others are names of lanes.

    ``rounds``: how many rounds of fresh processes are done; ``resumed``: how many of them an earlier run did.
    """

    samples: list[Sample] = field(default_factory=list)
    setups: list[Setup] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    opened: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed: dict[str, Problem] = field(default_factory=dict)  # lanes that never opened
    problems: dict[tuple[str, int], Problem] = field(default_factory=dict)
    memory: dict[tuple[str, int], tuple[float, int | None]] = field(default_factory=dict)
    rounds: int = 0
    resumed: int = 0
    interrupted: bool = False


class _Line(msgspec.Struct, frozen=True):
    """A finished round: its samples, and what was known of all targets after it."""

    samples: list[Sample]
    setups: list[Setup]
    hosts: list[Host]
    opened: dict[str, dict[str, Any]]
    closed: dict[str, Problem]
    problems: list[tuple[str, int, Problem]]
    memory: list[tuple[str, int, float, int | None]]


class Journal:
    """The journal of one bench. ``mark`` names what must be equal for it to be gone on with."""

    def __init__(self, path: Path, mark: str) -> None:
        self.path, self.mark = path, hashlib.blake2b(mark.encode(), digest_size=8).hexdigest()

    def read(self) -> tuple[dict[str, Audit], Raw]:
        """The audits and the finished rounds of a run that ended early; nothing where there is no journal.

        A last line that a kill cut short is left out. Raises UsageError for another bench's journal and for a damaged one.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}, Raw()
        except OSError as error:
            raise UsageError(f"the journal {self.path} cannot be read: {error.strerror or error}") from error
        try:
            head = json.loads(lines[0])
            mark = head["request"] if head["journal"] == MARK else None
            audits = msgspec.convert(head["audits"], dict[str, Audit])
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{self.path} is no journal of a bench: nothing to resume; run without --resume") from None
        if mark != self.mark:
            raise UsageError(
                f"the journal {self.path} belongs to a bench with other options or another layer, machine or release: repeat "
                "those options there, or run without --resume"
            )
        raw = Raw()
        for number, text in enumerate(lines[1:], 2):
            if not text:
                continue
            try:
                _add(raw, msgspec.json.decode(text, type=_Line))
            except msgspec.MsgspecError as error:
                if number >= len(lines):  # no newline behind it: the kill cut it short
                    continue
                raise UsageError(f"the journal {self.path} is damaged at line {number}: {error}") from error
        raw.resumed = raw.rounds
        return audits, raw

    def begin(self, audits: dict[str, Audit], raw: Raw) -> None:
        """Start the file anew with what is finished already. Raises UsageError where it cannot be written."""
        head = {"journal": MARK, "request": self.mark, "audits": msgspec.to_builtins(audits)}
        lines = [json.dumps(head).encode()]
        lines += [self._line(raw, number) for number in range(raw.rounds)]
        try:
            write_atomically(self.path, b"\n".join(lines) + b"\n")
        except OSError as error:
            raise UsageError(f"the journal {self.path} cannot be written: {error.strerror or error}") from error

    def append(self, raw: Raw) -> None:
        """Add the round that was just finished; it is on the disk when this returns."""
        with open(self.path, "ab") as stream:
            stream.write(self._line(raw, raw.rounds - 1) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _line(self, raw: Raw, number: int) -> bytes:
        return msgspec.json.encode(
            _Line(
                [s for s in raw.samples if s.process == number],
                [s for s in raw.setups if s.process == number],
                [h for h in raw.hosts if h.process == number],
                raw.opened,
                raw.closed,
                [(*key, one) for key, one in raw.problems.items()],
                [(*key, *one) for key, one in raw.memory.items()],
            )
        )


def _add(raw: Raw, line: _Line) -> None:
    raw.samples += line.samples
    raw.setups += line.setups
    raw.hosts += line.hosts
    raw.opened, raw.closed = dict(line.opened), dict(line.closed)
    raw.problems = {(name, cell): one for name, cell, one in line.problems}
    raw.memory = {(name, cell): (first, peak) for name, cell, first, peak in line.memory}
    raw.rounds += 1
