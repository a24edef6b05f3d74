"""Audits against a first one: every claim on every case of every target, and what only one of them asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from dropcheck.judge import levels
from dropcheck.report.compare import decision
from dropcheck.report.compare.pairing import Key, answers, base, labels, owners
from dropcheck.report.compare.records import Cell, Change, Comparison, Owner, Row, Side, Word
from dropcheck.results import reading
from dropcheck.results.audit import Finding, Result, TargetResult
from dropcheck.results.naming import lead

_GRAVEST: tuple[Word, ...] = (
    "worse",
    "unproven",
    "lost",
    "disappeared",
    "better",
    "moved",
    "gained",
    "appeared",
    "same",
)
_JUDGED = ("pass", "fail", "waived", "inconclusive", "error")


def compare(loaded: Sequence[Result], names: Sequence[str]) -> Comparison:
    """What the other results say otherwise than the first. ``names``: how the results are called."""
    sides = [_side(one, name, label) for one, name, label in zip(loaded, names, labels(names), strict=True)]
    rows: list[Row] = []
    whole: list[Owner] = []
    counts: list[Counter[str]] = [Counter() for _ in loaded[1:]]
    errors = [0.0 for _ in loaded[1:]]
    alone = [0 for _ in loaded[1:]]
    for name, members in owners(loaded).items():
        made = _Target(name, members, [one.seed for one in loaded])
        rows += made.rows
        whole.append(made.owner())
        for place in range(len(loaded) - 1):
            counts[place].update(made.counts[place])
            errors[place] = max(errors[place], made.errors[place])
            alone[place] += made.alone[place]
    return Comparison(
        sides=sides,
        owners=whole,
        rows=rows,
        counts=[dict(c) for c in counts],
        error=errors,
        notes=_notes(sides, alone, _pair(loaded, sides)),
    )


def _side(one: Result, name: str, label: str) -> Side:
    return Side(
        label=label,
        name=name,
        verdict=one.verdict,
        profile=one.profile,
        seed=one.seed,
        machine=reading.machine(one),
        packages=reading.packages(one.environment),
        interrupted=one.interrupted,
    )


def _pair(loaded: Sequence[Result], sides: Sequence[Side]) -> list[str]:
    """That different targets are set side by side, as each result has one."""
    if any(len(one.targets) != 1 for one in loaded) or len({base(one.targets[0]) for one in loaded}) == 1:
        return []
    told = ", ".join(f"{side.label}: {one.targets[0].target}" for one, side in zip(loaded, sides, strict=True))
    return [f"Each result has one target, and these are compared ({told})."]


def _notes(sides: Sequence[Side], alone: Sequence[int], told: Sequence[str] = ()) -> list[str]:
    """What differs between the runs besides the layers, and what follows for the reader."""
    first, notes = sides[0], list(told)
    for side, only in zip(sides[1:], alone, strict=True):
        pair = f"{first.label} and {side.label}"
        if first.profile != side.profile:
            notes.append(
                f"{pair} are of the profiles {first.profile} and {side.profile}: they look at other cases and resolutions, "
                "so a verdict that differs need not be a layer that differs. One profile for both tells more."
            )
        if first.seed != side.seed:
            notes.append(
                f"{pair} have the root seeds {first.seed} and {side.seed}: their drawn cases and masks differ."
            )
        if first.machine != side.machine:
            notes.append(f"{pair} ran on other machines: {first.machine} and {side.machine}.")
        if only:
            notes.append(
                f"{only:,} results of {pair} are of cases that only one of them ran; they say nothing about a change."
            )
        if side.interrupted or first.interrupted:
            notes.append(f"{(side if side.interrupted else first).label} was interrupted: it holds what was finished.")
    return list(dict.fromkeys(notes))


class _Target:
    """One target over all results: its rows, and how many claims on cases there are of every word."""

    def __init__(self, name: str, members: Sequence[TargetResult | None], seeds: Sequence[int]) -> None:
        self.name, self.members, self.seeds = name, members, seeds
        self.sides = [answers(m) for m in members]
        self.asked = [_asked(side) for side in self.sides]
        self.rows: list[Row] = []
        self.counts: list[Counter[str]] = [Counter() for _ in members[1:]]
        self.errors = [0.0 for _ in members[1:]]
        self.alone = [0 for _ in members[1:]]
        self.whole = [_whole(members[0], m) for m in members[1:]]
        self._compare()

    def _compare(self) -> None:
        told: set[tuple[int, str, str]] = set()
        keys = dict.fromkeys(k for side in self.sides for k in side)
        for one in keys:
            changes = [self._change(place, one, told) for place in range(len(self.members) - 1)]
            for place, change in enumerate(changes):
                pair = [side[one].verdict in _JUDGED for side in (self.sides[0], self.sides[place + 1]) if one in side]
                if change.word != "same" or (len(pair) == 2 and all(pair)):
                    self.counts[place][change.word] += 1
            if any(change.word != "same" for change in changes):
                self.rows.append(self._row(one, changes))

    def _change(self, place: int, one: Key, told: set[tuple[int, str, str]]) -> Change:
        """The change of one question from the first result to number ``place`` after it."""
        old, new = self.sides[0].get(one), self.sides[place + 1].get(one)
        if self.whole[place] is not None:
            return Change(word="same", text="")  # said once, of the whole target
        if old is not None and new is not None:
            self.errors[place] += decision.error_of(old, new)
            return decision.decide(old, new, old.case == new.case and self.seeds[0] == self.seeds[place + 1])
        found = old if old is not None else new
        assert found is not None
        if found.verdict not in _JUDGED:
            return Change(word="same", text="")
        self.alone[place] += 1
        return self._alone(place, one, found, old is not None, told)

    def _alone(self, place: int, one: Key, found: Finding, before: bool, told: set[tuple[int, str, str]]) -> Change:
        """An answer that only one of two results has: what the other says of the claim for this dtype, if anything."""
        check, dtype = one[0], lead(found.case)
        other = self.asked[place + 1 if before else 0].get((check, dtype)) or set()
        failing = found.verdict in ("fail", "waived")
        if not other:
            if (place, check, dtype) in told and not failing:
                return Change(word="same", text="")
            told.add((place, check, dtype))
            when = "tested in this dtype before, and not now" if before else "not tested in this dtype before"
            return Change(word="disappeared" if before else "appeared", text=f"{_said(found)}: {when}")
        if failing and not other & {"fail", "waived"}:
            text = (
                "failed in a case that did not run again; the cases that ran do not fail"
                if before
                else "fails in a case that did not run before; the cases that ran did not fail"
            )
            return Change(word="unproven", text=text)
        return Change(word="same", text="")

    def _row(self, one: Key, changes: list[Change]) -> Row:
        cells = [_cell(side[one]) if one in side else None for side in self.sides]
        lead = next(side[one] for side in self.sides if one in side)
        return Row(
            target=self.name,
            check=one[0],
            case=one[1],
            unit=lead.unit,
            expected=lead.expected,
            cells=cells,
            changes=changes,
        )

    def owner(self) -> Owner:
        """The target in one line."""
        words: list[Word] = []
        for place, whole in enumerate(self.whole):
            found: set[Word] = {row.changes[place].word for row in self.rows}
            if whole is None and _broke(self.members[place + 1]) and not _broke(self.members[0]):
                found.add("lost")
            gravest: Word = next((w for w in _GRAVEST if w in found), "same")
            words.append(whole if whole is not None else gravest)
        return Owner(
            target=self.name,
            names=[m.target if m is not None else None for m in self.members],
            versions=[f"{m.framework} {m.version}".strip() if m is not None else None for m in self.members],
            verdicts=[m.verdict if m is not None else None for m in self.members],
            levels=[levels.worst(m.findings) if m is not None and m.verdict == "fail" else None for m in self.members],
            reasons=[(m.error or m.skipped or "") if m is not None else "" for m in self.members],
            words=words,
        )


def _asked(side: dict[Key, Finding]) -> dict[tuple[str, str], set[str]]:
    """Which verdicts a result has of a check for a dtype."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (check, _), one in side.items():
        if one.verdict in _JUDGED:
            found[check, lead(one.case)].add(one.verdict)
    return found


def _whole(old: TargetResult | None, new: TargetResult | None) -> Word | None:
    """The word for a target that one of two results has not judged at all; None where both have."""
    was, now = _judged(old), _judged(new)
    if was and now:
        return None  # of a target that broke off, what was finished is compared
    if not was and not now:
        return "unproven" if _broke(old) or _broke(new) else "same"
    if was:
        return "lost" if _broke(new) else "disappeared"
    return "gained" if _broke(old) else "appeared"


def _judged(target: TargetResult | None) -> bool:
    return target is not None and any(f.verdict in _JUDGED for f in target.findings)


def _broke(target: TargetResult | None) -> bool:
    return target is not None and target.error is not None


def _cell(one: Finding) -> Cell:
    return Cell(
        verdict=one.verdict,
        case=one.case,
        estimate=one.estimate,
        interval=one.fail_interval,
        resolution=one.resolution,
        log10_evidence=one.log10_evidence,
        coins=one.coins,
        message=one.message,
        replay=one.replay,
        level=levels.of(one) if one.verdict == "fail" else None,
    )


def _said(one: Finding) -> str:
    return {"pass": "passes", "fail": "fails", "waived": "fails (waived)"}.get(one.verdict, one.verdict)
