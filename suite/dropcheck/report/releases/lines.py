"""From results by release to the lines of the table: pure functions of what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from dropcheck.judge import levels
from dropcheck.report.compare import audits
from dropcheck.report.field.cells import by_evidence
from dropcheck.report.releases.records import Cell, Change, Kind, Line, Owner, Word
from dropcheck.results.audit import Finding, Result, TargetResult, overall
from dropcheck.results.naming import dtype_of, lead

State = Literal["good", "bad", "unknown"]
Key = tuple[str, str]  # check, dtype

_JUDGED = ("pass", "fail", "waived", "inconclusive")


def judged(target: TargetResult | None) -> bool:
    """Whether anything was judged."""
    return target is not None and any(one.verdict in _JUDGED for one in target.findings)


def keys(members: Sequence[TargetResult | None]) -> list[Key]:
    """The checks and dtypes that were judged in any release."""
    every = [f for target in members if target is not None for f in target.findings if f.verdict in _JUDGED]
    return list(dict.fromkeys((f.check, dtype_of(f)) for f in every))


def cell(target: TargetResult | None, key: Key | None = None) -> Cell:
    """What a release says of a check in a dtype; without one, of the target as a whole."""
    if target is None:
        return Cell()
    if key is None:
        failing = {f.check for f in target.findings if f.verdict == "fail"}
        return Cell(
            verdict=target.verdict,
            level=levels.worst(target.findings) if target.verdict == "fail" else None,
            cases=len(failing),
            message=target.error or target.skipped or "",
        )
    some = _of(target, key)
    if not some:
        return Cell()
    verdict = overall([f.verdict for f in some])
    alike = by_evidence([f for f in some if f.verdict == verdict])
    return Cell(
        verdict=verdict,
        level=levels.worst(some) if verdict == "fail" else None,
        cases=len(alike) if verdict == "fail" else 0,
        message=alike[0].message,
    )


def state(target: TargetResult | None, key: Key) -> State:
    """Whether the check passes there; unknown where it has no verdict."""
    verdict = cell(target, key).verdict
    return "bad" if verdict == "fail" else "good" if verdict in ("pass", "waived") else "unknown"


def turns(members: Sequence[TargetResult | None], key: Key) -> list[tuple[int, int, Kind]]:
    """Where the verdict turns: the places of the release before and of the next that has a verdict, and to what."""
    known = [(place, found) for place, one in enumerate(members) if (found := state(one, key)) != "unknown"]
    return [
        (before, place, "new" if now == "bad" else "gone")
        for (before, was), (place, now) in pairwise(known)
        if was != now
    ]


def proven(whole: Result, old: TargetResult, new: TargetResult, kind: Kind) -> set[Key]:
    """The checks and dtypes whose numbers prove that they got worse (``new``) or better (``gone``)."""
    import msgspec

    sides = [msgspec.structs.replace(whole, targets=[one], verdict=one.verdict) for one in (old, new)]
    found = audits.compare(sides, [old.target, new.target])
    word = "worse" if kind == "new" else "better"
    checks = {(row.check, lead(row.case)) for row in found.rows if row.changes[0].word == word}
    return {key for key in keys([old, new]) if key in checks or (key[1] == "any" and key[0] in {c for c, _ in checks})}


def word_of(cells: Sequence[Cell], changes: Sequence[Change]) -> Word:
    """How a check does over all releases, in one word."""
    verdicts = {c.verdict for c in cells if c.verdict in ("pass", "waived", "fail", "inconclusive")}
    if changes:
        return "unsure" if not all(c.proven for c in changes) else "changes" if len(changes) > 1 else changes[0].kind
    return "fails" if verdicts == {"fail"} else "keeps" if verdicts <= {"pass", "waived"} else "unsure"


def of_target(
    target: str, members: Sequence[TargetResult | None], changes: Mapping[Key, Sequence[Change]]
) -> list[Line]:
    """The lines of a target; dtypes in which a check behaves alike share one."""
    alike: dict[tuple[object, ...], list[str]] = {}
    cells: dict[tuple[object, ...], list[Cell]] = {}
    turned: dict[tuple[object, ...], list[Change]] = {}
    for check, dtype in keys(members):
        mine = [cell(one, (check, dtype)) for one in members]
        own = list(changes.get((check, dtype), ()))
        mark = (check, *(c.mark for c in mine), *(repr(c) for c in own))
        alike.setdefault(mark, []).append(dtype)
        cells[mark] = [_worse(a, b) for a, b in zip(cells.get(mark, mine), mine, strict=True)]
        turned[mark] = own
    return [
        Line(
            target=target,
            check=str(mark[0]),
            dtypes=dtypes,
            word=word_of(cells[mark], turned[mark]),
            cells=cells[mark],
            changes=turned[mark],
        )
        for mark, dtypes in alike.items()
    ]


def owner(target: str, members: Sequence[TargetResult | None]) -> Owner:
    """A target in one line."""
    return Owner(
        target=target,
        cells=[cell(one) for one in members],
        versions=[one.version if one is not None else "" for one in members],
    )


def failing(target: TargetResult, check: str, dtypes: Sequence[str]) -> list[Finding]:
    """The failing findings of a check in these dtypes, the one with the most evidence first."""
    return by_evidence([f for d in dtypes for f in _of(target, (check, d)) if f.verdict == "fail"])


def _of(target: TargetResult, key: Key) -> list[Finding]:
    return [f for f in target.findings if f.check == key[0] and dtype_of(f) == key[1] and f.verdict in _JUDGED]


def _worse(one: Cell, other: Cell) -> Cell:
    return one if one.cases >= other.cases else other
