"""A comparison of audits as typed records: what a page, a text and other programs read."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dropcheck.results.audit import Level, Verdict

SCHEMA = "dropcheck.comparison/1"

Word = Literal["worse", "better", "moved", "unproven", "lost", "gained", "appeared", "disappeared", "same"]
WORDS: dict[Word, str] = {
    "worse": "got worse",
    "better": "got better",
    "moved": "differ, and pass in both",
    "unproven": "another verdict, but no proof of a change",
    "lost": "evidence that is missing now",
    "gained": "evidence that was missing before",
    "disappeared": "were tested before, and are not now",
    "appeared": "are tested now, and were not before",
    "same": "are as before",
}
GLYPHS: dict[Word, str] = {
    "worse": "✗",
    "better": "✓",
    "moved": "~",
    "unproven": "?",
    "lost": "?",
    "gained": "+",
    "disappeared": "-",
    "appeared": "+",
    "same": "=",
}
MISSING: tuple[Word, ...] = ("unproven", "lost", "disappeared")


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One result: ``label`` is its column; the rest is what a reader needs to know about the run."""

    label: str
    name: str
    verdict: Verdict
    profile: str
    seed: int
    machine: str
    packages: dict[str, str]
    interrupted: bool = False


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What one result says of one claim on one case."""

    verdict: Verdict
    case: str
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    resolution: float | None = None
    log10_evidence: float | None = None
    coins: int = 0
    message: str = ""
    replay: str = ""
    level: Level | None = None

    @property
    def mark(self) -> str:
        """The verdict as a table shows it: a failure of an edge case or a trait by that word."""
        return self.level if self.level in ("edge", "trait") else self.verdict


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """From the first result to one of the others. ``error``: the most that the probability of a wrong word can be."""

    word: Word
    text: str
    error: float = 0.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One claim on one case of one target: a cell a result (None: not asked there), a change for each but the first."""

    target: str
    check: str
    case: str
    unit: str
    expected: float | None
    cells: list[Cell | None]
    changes: list[Change]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """One target: its name, release and verdict in every result (None: not there), and the words of its changes.

    ``levels``: the gravest level of what fails in each result; None where nothing does.
    """

    target: str
    names: list[str | None]
    versions: list[str | None]
    verdicts: list[Verdict | None]
    reasons: list[str]
    words: list[Word]
    levels: list[Level | None] = []

    @property
    def marks(self) -> list[str | None]:
        """The verdicts as a table shows them: failures of edge cases or traits alone by that word."""
        known = self.levels or [None] * len(self.verdicts)
        return [one if one in ("edge", "trait") else v for one, v in zip(known, self.verdicts, strict=True)]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs between a first result and the others. ``rows`` holds no row that is the same in all.

    ``counts``: for each but the first, how many claims on cases there are of every word. ``error``: likewise, the most that
    the probability can be that any of its words worse, better and moved is wrong for a target that did not change, at worst
    over targets.
    """

    schema: Literal["dropcheck.comparison/1"] = "dropcheck.comparison/1"
    kind: Literal["comparison"] = "comparison"
    sides: list[Side]
    owners: list[Owner]
    rows: list[Row]
    counts: list[dict[str, int]]
    error: list[float]
    notes: list[str]
    environment: dict[str, Any] = {}


def encode(found: Comparison) -> bytes:
    """The comparison as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def exit_code(found: Comparison) -> int:
    """1 something got worse and is not waived, 3 nothing did but evidence is missing, 0 otherwise."""
    for row in found.rows:
        for cell, change in zip(row.cells[1:], row.changes, strict=True):
            if change.word == "worse" and cell is not None and cell.verdict != "waived":
                return 1
    words = {change.word for row in found.rows for change in row.changes} | {w for o in found.owners for w in o.words}
    judged = all(any(counts.get(w) for w in ("same", "worse", "better", "moved")) for counts in found.counts)
    return 3 if not judged or words & set(MISSING) or any(s.interrupted for s in found.sides) else 0
