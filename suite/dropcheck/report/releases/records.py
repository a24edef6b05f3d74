"""The table of releases as typed records: what a page, a text and other programs read."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dropcheck.results.audit import Level, ResultError, Verdict

Kind = Literal["new", "gone"]
# passes in every release that was judged; fails in every one; fails since, or no longer; several of these; no verdict differs,
# or another verdict is no proof
Word = Literal["keeps", "fails", "new", "gone", "changes", "unsure"]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One release of a package. ``why``: it is not installed, in one sentence; empty where it is.

    ``requirements``: the environment, as a target's name has it. ``installed``: what pip put there over the present
    environment, by name; with the release that the present environment has of it. ``asked``: a column of the table; else a
    release between two of them, which was tried to find where something changed.
    """

    release: str
    requirements: str
    why: str = ""
    installed: dict[str, str] = {}
    instead_of: dict[str, str] = {}
    asked: bool = True


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What one release says of a check. ``cases``: how many of them fail; ``message``: of the one with the most evidence."""

    verdict: Verdict | None = None  # None: not judged there
    level: Level | None = None
    cases: int = 0
    message: str = ""

    @property
    def mark(self) -> str:
        """The verdict as a table shows it: failures of edge cases or traits alone by that word."""
        return self.level if self.level in ("edge", "trait") else self.verdict or ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A check that begins to fail (``new``) or to pass (``gone``) after the release ``before``.

    ``since``: the releases any of which may be the first that differs; one where it is decided. ``tried``: releases that
    were tried between those of the table. ``proven``: by the numbers of both sides, as ``dropcheck compare`` decides.
    """

    kind: Kind
    before: str
    since: list[str]
    tried: list[str] = []
    proven: bool = True


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one target in the dtypes that behave alike, over the releases of its package: a cell a column.

    ``script``: of a failure, without dropcheck, below the folder of the report; ``shown``: the release in which it shows it,
    ``silent``: the release beside a change in which the same script shows nothing; ``said``: what it said; ``doubtful``: it
    does not show the failure, or there is none.
    """

    target: str
    check: str
    dtypes: list[str]
    word: Word
    cells: list[Cell]
    changes: list[Change] = []
    script: str = ""
    shown: str = ""
    silent: str = ""
    said: str = ""
    doubtful: bool = False

    @property
    def shared(self) -> bool:
        """Whether the script's control, a plain correct layer, shows it too: it is of the framework."""
        return bool(self.script) and not self.shown and not self.doubtful


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """One target: its worst verdict, and how many checks fail, a release; ``versions``: as its adapter tells them."""

    target: str
    cells: list[Cell]
    versions: list[str]


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One package: its releases, oldest first, and what its targets do there. ``present``: the release installed here."""

    name: str
    present: str
    columns: list[Column]
    between: list[Column]
    owners: list[Owner]
    lines: list[Line]
    notes: list[str] = []

    @property
    def judged(self) -> list[Column]:
        """The releases of the table of which some target was judged."""
        return [
            column
            for place, column in enumerate(self.columns)
            if any(owner.cells[place].verdict not in (None, "error", "skipped") for owner in self.owners)
        ]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """All packages. ``series``: how many of each were asked for."""

    schema: Literal["dropcheck.releases/1"] = "dropcheck.releases/1"
    kind: Literal["releases"] = "releases"
    series: int
    profile: str
    seed: int
    device: str
    packages: list[Package]
    environment: dict[str, Any] = {}

    @property
    def lines(self) -> list[tuple[Package, Line]]:
        """All lines, with their packages."""
        return [(package, line) for package in self.packages for line in package.lines]


def encode(table: Table) -> bytes:
    """The table as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n"


def decode(data: bytes, name: str) -> Table:
    """A stored table. Raises ResultError where it is damaged."""
    try:
        return msgspec.json.decode(data, type=Table)
    except msgspec.MsgspecError as error:
        raise ResultError(f"{name}: {error}") from error


def exit_code(table: Table) -> int:
    """1 a check fails now that passed in an earlier release of the table; 3 evidence is missing; 0 otherwise."""
    every = [line for _, line in table.lines]
    last = [line.changes[-1] for line in every if line.changes]
    if any(change.kind == "new" and change.proven for change in last):
        return 1
    open_ = [change for line in every for change in line.changes if not change.proven or len(change.since) > 1]
    missing = not table.packages or any(len(package.judged) < 2 for package in table.packages)
    return 3 if missing or open_ or any(line.doubtful for line in every) else 0
