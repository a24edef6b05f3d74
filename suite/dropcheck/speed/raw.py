"""Everything that was measured, and the journal that keeps it on disk while a bench runs, a line a round of processes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.results import journal
from dropcheck.results.bench import Audit, Host, Sample, Setup
from dropcheck.results.journal import Head

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


class _Head(Head, frozen=True):
    """The head of a bench's journal, with the audits that it asked for."""

    audits: dict[str, Audit]


class Journal:
    """The journal of one bench. ``mark`` names what must be equal for it to be gone on with."""

    def __init__(self, path: Path, mark: str) -> None:
        self.mark = hashlib.blake2b(mark.encode(), digest_size=8).hexdigest()
        other = "a bench with other options or another layer, machine or release: repeat those options there"
        self.kept = journal.Journal(path, _Head(MARK, self.mark, {}), _Line, "a bench", other)

    def read(self) -> tuple[dict[str, Audit], Raw]:
        """The audits and the finished rounds of a run that ended early; nothing where there is no journal. Raises UsageError."""
        found = self.kept.read()
        if found is None:
            return {}, Raw()
        raw = Raw()
        for line in found[1]:
            _add(raw, line)
        raw.resumed = raw.rounds
        return found[0].audits, raw

    def begin(self, audits: dict[str, Audit], raw: Raw) -> None:
        """Start the file anew with what is finished already. Raises UsageError where it cannot be written."""
        lines = (self._line(raw, number) for number in range(raw.rounds))
        self.kept.begin(lines, _Head(MARK, self.mark, audits))

    def append(self, raw: Raw) -> None:
        """Add the round that was just finished; it is on the disk when this returns. Raises UsageError."""
        self.kept.append(self._line(raw, raw.rounds - 1), f"the {raw.rounds - 1} rounds before")

    def _line(self, raw: Raw, number: int) -> _Line:
        return _Line(
            [s for s in raw.samples if s.process == number],
            [s for s in raw.setups if s.process == number],
            [h for h in raw.hosts if h.process == number],
            raw.opened,
            raw.closed,
            [(*key, one) for key, one in raw.problems.items()],
            [(*key, *one) for key, one in raw.memory.items()],
        )


def _add(raw: Raw, line: _Line) -> None:
    raw.samples += line.samples
    raw.setups += line.setups
    raw.hosts += line.hosts
    raw.opened, raw.closed = dict(line.opened), dict(line.closed)
    raw.problems = {(name, cell): one for name, cell, one in line.problems}
    raw.memory = {(name, cell): (first, peak) for name, cell, first, peak in line.memory}
    raw.rounds += 1
