"""What every form of a comparison shares: its sentences, its groups of rows, and numbers side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dropcheck.report import sentences as words
from dropcheck.report.compare.records import Cell, Comparison, Row, Word
from dropcheck.results import plain_text
from dropcheck.results.plain_text import line

# worth a place of its own, in this order; "gained" and "appeared" only where something fails or much is new
SHOWN: tuple[Word, ...] = ("worse", "unproven", "lost", "disappeared", "better", "moved", "gained", "appeared")
TITLES: dict[Word, str] = {
    "worse": "Got worse",
    "unproven": "Another verdict, but no proof of a change",
    "lost": "Evidence that is missing now",
    "disappeared": "Tested before, and not now",
    "better": "Got better",
    "moved": "Differs, and passes in both",
    "gained": "Evidence that was missing before",
    "appeared": "Tested now, and not before",
}
SHORT: dict[Word, str] = {
    "worse": "worse",
    "unproven": "no proof",
    "lost": "missing",
    "disappeared": "fewer checks",
    "better": "better",
    "moved": "moved",
    "gained": "gained",
    "appeared": "more checks",
    "same": "same",
}


ANSWER: dict[Word, str] = {
    "worse": "got worse",
    "unproven": "with another verdict but no proof of a change",
    "lost": "lost evidence",
    "disappeared": "with fewer checks tested",
    "better": "got better",
    "moved": "different, and passing in both",
    "gained": "gained evidence",
    "appeared": "with more checks tested",
    "same": "as before",
}


ENTIRE: dict[Word, str] = {"disappeared": "not tested any more", "appeared": "new"}  # of whole targets


@dataclass(frozen=True)
class Group:
    """Rows of one word, claim and target (or several targets): ``lead`` is drawn, the others are counted."""

    word: Word
    check: str
    place: int
    lead: Row
    targets: tuple[str, ...]
    cases: int

    @property
    def text(self) -> str:
        """Why the lead has its word."""
        return self.lead.changes[self.place].text


def pairs(found: Comparison) -> list[str]:
    """``NEW against OLD`` for every result but the first."""
    return [f"{line(s.label, 60)} against {line(found.sides[0].label, 60)}" for s in found.sides[1:]]


def sentences(found: Comparison) -> list[str]:
    """The answer, one sentence for every result but the first."""
    told = []
    for place, pair in enumerate(pairs(found)):
        judged = [
            o for o in found.owners if any(v not in (None, "skipped") for v in (o.verdicts[0], o.verdicts[place + 1]))
        ]
        count = Counter(owner.words[place] for owner in judged)
        parts = []
        for word, text in ANSWER.items():
            entire = sum(where == place for _, where, _ in whole(found, word)) if word in ENTIRE else 0
            if count[word] > entire:
                parts.append(f"{count[word] - entire} {text}")
            if entire:
                parts.append(f"{entire} {ENTIRE[word]}")
        total = plain_text.count(len(judged), "target")
        told.append(f"{pair}: of {total}, {'; '.join(parts)}." if parts else f"{pair}: there is nothing to compare.")
    return told


def promise(found: Comparison) -> list[str]:
    """What "worse" and "better" are worth, one sentence for every result but the first."""
    return [
        f"{pair}: a target that did not change is reported as worse, better or different with probability below {_bound(error)}."
        for pair, error in zip(pairs(found), found.error, strict=True)
    ]


def _bound(value: float) -> str:
    """The next larger number of two digits."""
    if value <= 0:
        return "1e-12"
    shown = f"{value * 1.049:.1e}"
    return shown if float(shown) >= value else f"{value * 1.1:.1e}"


def groups(found: Comparison, word: Word) -> list[Group]:
    """The rows of a word, by result and claim; the strongest leads."""
    held: dict[tuple[int, str], list[Row]] = {}
    for row in found.rows:
        for place, change in enumerate(row.changes):
            if change.word == word:
                held.setdefault((place, row.check), []).append(row)
    made = []
    for (place, check), rows in held.items():
        lead = min(rows, key=lambda r: (_evidence(r), len(r.case)))
        made.append(Group(word, check, place, lead, tuple(dict.fromkeys(r.target for r in rows)), len(rows)))
    return made


def _evidence(row: Row) -> float:
    return min((c.log10_evidence for c in row.cells if c is not None and c.log10_evidence is not None), default=0.0)


def whole(found: Comparison, word: Word) -> list[tuple[str, int, str]]:
    """(target, place, reason) of targets that have a word as a whole and no row that says it."""
    told = {(row.target, place) for row in found.rows for place, c in enumerate(row.changes) if c.word == word}
    made = []
    for owner in found.owners:
        for place, one in enumerate(owner.words):
            if one == word and (owner.target, place) not in told:
                now, before = owner.reasons[place + 1], owner.reasons[0]
                there = owner.names[place + 1] is not None
                reason = now or before or ("no result in common" if there else "not in this result")
                if word in ("gained", "appeared") and there:
                    reason = f"verdict {owner.verdicts[place + 1]}" + (f"; before: {before}" if before else "")
                made.append((owner.target, place, reason))
    return made


def numbers(cell: Cell | None, unit: str = "") -> str:
    """What one result says, in one line."""
    if cell is None:
        return "not tested"
    parts = [words.WORDS[cell.mark] if cell.verdict != "skipped" else "skipped"]
    if cell.estimate is not None:
        text = digits(cell.estimate)
        if cell.interval is not None:
            text += f" [{digits(cell.interval[0])}, {digits(cell.interval[1])}]"
        parts.append(text)
    if cell.resolution is not None:
        parts.append(f"detection limit {plain_text.number(cell.resolution)}")
    if cell.coins:
        parts.append(f"{cell.coins:,} decisions")
    return ", ".join(parts)


def digits(value: float) -> str:
    """A number with the digits that an interval needs."""
    return "0" if value == 0 else f"{value:.6g}"


def replay(row: Row, place: int) -> str:
    """The command of the later result, or of the first where the later one has none."""
    for cell in (row.cells[place + 1], row.cells[0]):
        if cell is not None and cell.replay:
            return cell.replay
    return ""


def releases(found: Comparison) -> list[list[str]]:
    """One row a package, one cell a result, of packages that are not the same everywhere; and the rest of each run."""
    names = dict.fromkeys(n for side in found.sides for n in side.packages)
    rows = [[n, *(side.packages.get(n, "–") for side in found.sides)] for n in names]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    for name in ("profile", "seed", "machine", "name"):
        title = {"seed": "root seed", "name": "result"}.get(name, name)
        rows.append([title, *(str(getattr(side, name)) for side in found.sides)])
    return rows


Line = tuple[str, list[str], Sequence[str | None], Sequence[Word]]


def matrix(found: Comparison) -> list[Line]:
    """(target, releases, marks, words) of the targets that were judged in the first result and elsewhere, and differ.

    Releases are empty where they are the same in all results.
    """
    made: list[Line] = []
    for owner in found.owners:
        there = [name is not None for name in owner.names]
        if not there[0] or not any(there[1:]) or all(w == "same" for w in owner.words):
            continue
        versions = [v or "" for v in owner.versions]
        alike = len({v for v in versions if v}) <= 1
        made.append((owner.target, [""] * len(versions) if alike else versions, owner.marks, owner.words))
    return made


def reasons(found: Comparison, word: Word) -> list[tuple[str, int, list[str]]]:
    """(reason, place, targets): targets that have a word as a whole, by reason."""
    held: dict[tuple[str, int], list[str]] = {}
    for target, place, reason in whole(found, word):
        held.setdefault((reason, place), []).append(target)
    return [(reason, place, targets) for (reason, place), targets in held.items()]
