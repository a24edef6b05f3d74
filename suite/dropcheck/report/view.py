"""What a page shows, as plain records: one block a target, its causes of failure with their figures, counts of the rest."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as numbers

import msgspec

from dropcheck.judge import levels
from dropcheck.judge.claims import FAMILIES
from dropcheck.judge.diagnosis import Diagnosis
from dropcheck.report import sentences, this_run
from dropcheck.report.figures import sheet as figures
from dropcheck.report.figures.sheet import Drawn, Sheet
from dropcheck.report.sentences import Group
from dropcheck.results import plain_text
from dropcheck.results.audit import Finding, Result, TargetResult, missing

WHOLE = 4000  # results up to which a page lists every one; beyond, passes are counted and the raw result has them
FEW = 3  # targets up to which passes are drawn too
MANY = 8  # failing targets above which a table says which of them share a cause
OPEN = ("error", "inconclusive")


@dataclass(frozen=True)
class Told:
    """One cause of failures, or one check without a verdict. ``mark``: its level, or the verdict.

    ``cause``: the name of ``Diagnosis.cause``. ``groups``: its results, one group a check, that of ``check`` first.
    ``case`` and ``command``: the smallest failing case and what repeats it.
    """

    id: str
    mark: str
    cause: str
    check: str
    observed: str
    fix: str
    also: tuple[str, ...]
    case: str
    command: str
    groups: tuple[Group, ...]
    figures: list[Drawn]


@dataclass(frozen=True)
class Family:
    """One family of checks of one target.

    ``by_check``: each check with its units and its results; empty where the page counts instead of lists.

    ``mark``: see ``sentences.mark``; ``broken``: pairs of a check and the place where its failure is told; ``place``: where all of
    it is told; ``aim``: where its cell of the matrix leads.
    """

    name: str
    mark: str
    tally: str
    again: str
    broken: list[tuple[str, str]]
    by_check: list[tuple[str, str, list[Finding]]]
    aim: str
    place: str


@dataclass(frozen=True)
class Block:
    """One target. ``section``: where it stands: failures, undecided or passed."""

    id: str
    target: TargetResult
    mark: str
    section: str
    tally: list[tuple[str, str]]
    told: list[Told]
    families: list[Family]
    cells: dict[str, Family]
    passes: list[Drawn] = field(default_factory=list)


@dataclass(frozen=True)
class Shared:
    """A cause of failures in several targets: as the first of them shows it, and (target, place) of each."""

    first: Told
    places: list[tuple[str, str]]


def blocks(result: Result, sheet: Sheet) -> list[Block]:
    """All targets that ran, in the order of the result."""
    ran = [(i, t) for i, t in enumerate(result.targets) if t.skipped is None]
    whole = sum(len(t.findings) for _, t in ran) <= WHOLE
    return [_block(f"t{i}", t, sheet, whole, len(ran) <= FEW) for i, t in ran]


def worst_first(some: Sequence[Block], section: str) -> list[Block]:
    """The blocks of one section: defects before edge cases before traits, else in their order."""
    return sorted((b for b in some if b.section == section), key=lambda b: _ORDER.get(b.mark, len(_ORDER)))


def shared(some: Sequence[Block]) -> list[Shared]:
    """The causes that several of many failing targets have, worst first, then the most frequent; nothing for a few targets."""
    if sum(b.section == "failures" for b in some) <= MANY:
        return []
    found: dict[tuple[str, str], Shared] = {}
    for block in worst_first(some, "failures"):
        for one in block.told:
            if one.mark in levels.LEVELS:
                at = found.setdefault((one.mark, one.cause), Shared(one, []))
                at.places.append((block.target.target, one.id))
    several = [s for s in found.values() if len(s.places) > 1]
    return sorted(several, key=lambda s: ([*map(str, levels.LEVELS)].index(s.first.mark), -len(s.places)))


_ORDER = {"fail": 0, "edge": 1, "trait": 2}


def _block(name: str, target: TargetResult, sheet: Sheet, whole: bool, few: bool) -> Block:
    by_family: dict[str, list[Finding]] = defaultdict(list)
    for one in target.findings:
        by_family[plain_text.family(one.check)].append(one)
    order = [f for f in FAMILIES if f in by_family] + [f for f in by_family if f not in FAMILIES]
    told = list(_told(name, target, sheet))
    places: dict[tuple[str, str], str] = {(g.check, g.verdict): one.id for one in reversed(told) for g in one.groups}
    kept = {one.check: f"{name}-w{i}" for i, one in enumerate(this_run.waivers(target), 1)}
    families = [
        _family(target, f, by_family[f], _places(by_family[f], places, kept), f"{name}-{i}", whole)
        for i, f in enumerate(order, 1)
    ]
    failing = any(one.mark in levels.LEVELS for one in told)
    undecided = told or target.error is not None or target.verdict not in ("pass", "waived") or missing(target)
    return Block(
        id=name,
        target=target,
        mark=sentences.mark(target.findings, target.verdict),
        section="failures" if failing else "undecided" if undecided else "passed",
        tally=_tally(target, told),
        told=told,
        families=families,
        cells={f.name: f for f in families},
        passes=figures.of_passes(target, sheet) if few else [],
    )


def _places(
    findings: Sequence[Finding], told: dict[tuple[str, str], str], accepted: dict[str, str]
) -> list[tuple[str, str]]:
    """Where what is not a pass among these is told, as (check, place): failures first."""
    found: dict[str, str] = {}
    for verdict in ("fail", *OPEN, "waived"):
        for one in findings:
            if one.verdict == verdict:
                place = accepted.get(one.check) if verdict == "waived" else told.get((one.check, verdict))
                if place:
                    found.setdefault(one.check, place)
    return list(found.items())


def _tally(target: TargetResult, told: Sequence[Told]) -> list[tuple[str, str]]:
    """(mark, words) of a target: its causes by level, and what else it is."""
    seen = Counter(one.mark for one in told)
    words = {"defect": "defect", "edge": "edge case", "trait": "trait"}
    found = [("fail" if m == "defect" else m, plain_text.count(seen[m], words[m])) for m in words if seen[m]]
    if seen["inconclusive"]:
        found.append(("inconclusive", f"{plain_text.count(seen['inconclusive'], 'check')} unsure"))
    if target.error is not None:
        found.append(("error", "the audit did not reach its end"))
    elif seen["error"]:
        found.append(("error", plain_text.count(seen["error"], "error")))
    if gone := missing(target):
        found.append(("error", f"{plain_text.count(len(gone), 'planned result')} missing"))
    if waived := {f.check for f in target.findings if f.verdict == "waived"}:
        found.append(("waived", plain_text.count(len(waived), "waived failure")))
    passing = {f.check for f in target.findings if f.verdict == "pass"} - {
        f.check for f in target.findings if f.verdict in ("fail", "waived", *OPEN)
    }
    if passing:
        found.append(("pass", f"{plain_text.count(len(passing), 'check')} pass{'es' if len(passing) == 1 else ''}"))
    return found or [("skipped", "no check applies")]


# --- causes ------------------------------------------------------------------------------------------------------------


def _told(name: str, target: TargetResult, sheet: Sheet) -> Iterator[Told]:
    """The causes of a target's failures, worst first, then the checks without a verdict."""
    number = numbers(1)
    for one in sentences.diagnosed(target):
        yield _cause(f"{name}-c{next(number)}", one, target, sheet)
    for group in sentences.groups([target], OPEN):
        yield Told(
            id=f"{name}-c{next(number)}",
            mark=group.verdict,
            cause="",
            check=group.check,
            observed=group.lead.message,
            fix="",
            also=(),
            case=group.lead.case,
            command=group.lead.replay,
            groups=(group,),
            figures=[],
        )


def _cause(place: str, one: Diagnosis, target: TargetResult, sheet: Sheet) -> Told:
    only = msgspec.structs.replace(target, findings=list(one.findings))
    groups = sorted(sentences.groups([only], ("fail",)), key=lambda g: g.check != one.check)
    groups = [replace(g, lead=one.lead) if g.check == one.check else g for g in groups]
    picture, case, command = sentences.smallest_of(one)
    drawn = [d for g in groups[:1] for d in figures.of_failure(g, picture, target, sheet)]
    return Told(
        id=place,
        mark=one.level,
        cause=one.cause,
        check=one.check,
        observed=one.observed,
        fix=one.fix,
        also=one.also,
        case=case,
        command=command,
        groups=tuple(groups),
        figures=drawn + [d for g in groups[1:] for d in figures.of_failure(g, g.drawn.picture, target, sheet)],
    )


# --- families ----------------------------------------------------------------------------------------------------------


def _family(
    target: TargetResult, name: str, findings: list[Finding], broken: list[tuple[str, str]], place: str, whole: bool
) -> Family:
    checks = {f.check for f in findings}
    seen = Counter[str](f.verdict for f in findings)
    tally = f"{plain_text.count(len(checks), 'check')}, {plain_text.count(len(findings), 'result')}: "
    tally += ", ".join(f"{seen[v]} {v}" for v in sentences.WORDS if seen[v])
    return Family(
        name=name,
        mark=sentences.cell(target, name),
        tally=tally,
        again=again(findings, name),
        broken=broken,
        by_check=list(_by_check(findings)) if whole else [],
        aim=broken[0][1] if broken else place,
        place=place,
    )


def _by_check(findings: Sequence[Finding]) -> Iterator[tuple[str, str, list[Finding]]]:
    for check in dict.fromkeys(f.check for f in findings):
        some = [f for f in findings if f.check == check]
        yield check, plain_text.some(list(dict.fromkeys(f.unit for f in some if f.unit)), 3), some


def again(findings: Sequence[Finding], family: str) -> str:
    """The command that repeats a whole family: that of any of its findings, without its case. Empty where none has one."""
    replay = next((f.replay for f in findings if f.replay), "")
    try:
        parts = shlex.split(replay)
        parts[parts.index("--select") + 1] = family
    except (ValueError, IndexError):
        return ""
    if "--case" in parts:
        at = parts.index("--case")
        del parts[at : at + 2]
    return shlex.join(parts)
