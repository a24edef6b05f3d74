"""What a page shows, as plain records: one block a target, its failures with their figures, counts of what passes."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from dropcheck.judge.claims import FAMILIES
from dropcheck.report import sentences
from dropcheck.report.figures import coins, counts, ladder, pairs, positions
from dropcheck.report.figures.svg import Figure
from dropcheck.results import plain_text
from dropcheck.results.audit import Finding, Result, TargetResult

WHOLE = 4000  # findings up to which a page lists every one; beyond, passes are counted and the raw result has them
FEW = 3  # targets up to which passes are drawn too
NOT_A_PASS = ("fail", "error", "inconclusive", "waived")
_LAGGED = (
    "mask.independent-channels",
    "mask.independent-samples",
    "mask.independent-calls",
    "mask.ignores-values",
    "seed.neighbours",
)


class Drawn(NamedTuple):
    """A figure with its number. ``again``: how to read its kind was said in full before."""

    number: int
    figure: Figure
    again: bool


@dataclass
class Sheet:
    """The figures of one page: each has a number, and together they take at most ``room`` bytes."""

    room: int = 500_000
    taken: int = 0
    drawn: int = 0
    left_out: int = 0
    told: set[str] = field(default_factory=set)

    def take(self, figure: Figure | None) -> list[Drawn]:
        """The figure with its number, in a list; an empty one for no figure and for no more room."""
        if figure is None:
            return []
        size = len(figure.body) + sum(len(c) + 9 for row in figure.rows for c in row) + 1500
        if self.taken + size > self.room:
            self.left_out += 1
            return []
        self.taken += size
        self.drawn += 1
        again = figure.reading in self.told
        self.told.add(figure.reading)
        return [Drawn(self.drawn, figure, again)]


@dataclass(frozen=True)
class Shown:
    """One group of findings with its figures."""

    group: sentences.Group
    figures: list[Drawn]


@dataclass(frozen=True)
class Family:
    """One family of checks of one target. ``findings`` is empty where the page counts instead of lists.

    ``broken``: pairs of a check and the place where its failure is told; ``place``: where all of it is
    told; ``aim``: where its cell of the matrix leads.
    """

    name: str
    verdict: str
    tally: str
    again: str
    broken: list[tuple[str, str]]
    findings: list[Finding]
    aim: str
    place: str


@dataclass(frozen=True)
class Block:
    """One target."""

    id: str
    target: TargetResult
    broken: int
    tested: int
    groups: list[Shown]
    families: list[Family]
    cells: dict[str, Family]
    passes: list[Drawn] = field(default_factory=list)


def blocks(result: Result, sheet: Sheet) -> list[Block]:
    """All targets that ran, in the order of the result."""
    ran = [(i, t) for i, t in enumerate(result.targets) if t.skipped is None]
    whole = sum(len(t.findings) for _, t in ran) <= WHOLE
    return [_block(f"t{i}", t, sheet, whole, len(ran) <= FEW) for i, t in ran]


def _block(name: str, target: TargetResult, sheet: Sheet, whole: bool, few: bool) -> Block:
    broken, tested = sentences.claims(target)
    by_family: dict[str, list[Finding]] = {}
    for one in target.findings:
        by_family.setdefault(plain_text.family(one.check), []).append(one)
    order = [f for f in FAMILIES if f in by_family] + [f for f in by_family if f not in FAMILIES]
    groups = [Shown(g, _figures(g, target, sheet)) for g in sentences.groups([target], NOT_A_PASS)]
    places: dict[str, list[tuple[str, str]]] = {}
    for i, shown in enumerate(groups, 1):
        check = shown.group.check
        places.setdefault(plain_text.family(check), []).append((check, f"{name}-g{i}"))
    families = [
        _family(target, f, by_family[f], places.get(f, []), f"{name}-{i}", whole) for i, f in enumerate(order, 1)
    ]
    return Block(
        id=name,
        target=target,
        broken=broken,
        tested=tested,
        groups=groups,
        families=families,
        cells={f.name: f for f in families},
        passes=_passes(target, sheet) if few else [],
    )


def _family(
    target: TargetResult, name: str, findings: list[Finding], broken: list[tuple[str, str]], place: str, whole: bool
) -> Family:
    checks = list(dict.fromkeys(f.check for f in findings))
    told = Counter[str](f.verdict for f in findings)
    tally = f"{plain_text.count(len(checks), 'check')}, {plain_text.count(len(findings), 'finding')}: "
    tally += ", ".join(f"{told[v]} {v}" for v in sentences.WORDS if told[v])
    return Family(
        name=name,
        verdict=sentences.cell(msgspec.structs.replace(target, findings=findings), name),
        tally=tally,
        again=again(findings, name),
        broken=broken,
        findings=findings if whole else [],
        aim=broken[0][1] if broken else place,
        place=place,
    )


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


def _figures(group: sentences.Group, target: TargetResult, sheet: Sheet) -> list[Drawn]:
    """What shows this failure best: its smallest example, and the counts behind it."""
    found: list[Drawn] = []
    if group.drawn.picture is not None and group.drawn.picture.rows:
        found += sheet.take(coins.figure(group.drawn.picture, f"{plain_text.line(target.target, 120)}, {group.check}"))
    lead = group.lead
    if group.check == "mask.dropped-count":
        found += sheet.take(counts.figure(lead))
    elif group.check in ("rate.per-channel", "rate.per-sample"):
        found += sheet.take(positions.figure(lead))
    elif group.check in _LAGGED:
        found += sheet.take(pairs.matrix(lead))
        found += sheet.take(pairs.lags(lead))
    elif group.check == "rate.marginal":
        found += sheet.take(ladder.figure(target.target, target.findings))
    return found


def _passes(target: TargetResult, sheet: Sheet) -> list[Drawn]:
    """What passing coins look like: the case with most coins of each counted check."""
    found: list[Drawn] = []
    passed = [f for f in target.findings if f.verdict == "pass"]
    if not any(f.check == "rate.marginal" and f.verdict == "fail" for f in target.findings):
        found += sheet.take(ladder.figure(target.target, target.findings))
    for check, draw in (
        ("mask.dropped-count", counts.figure),
        ("rate.per-channel", positions.figure),
        ("mask.independent-channels", pairs.lags),
    ):
        some = [f for f in passed if f.check == check]
        if some:
            found += sheet.take(draw(max(some, key=lambda f: f.coins)))
    return found


# --- what did not run, what was waived, and how the run went -----------------------------------------------------------


def away(result: Result) -> list[tuple[str, list[str]]]:
    """(reason, targets) of what did not run here."""
    found: dict[str, list[str]] = {}
    for target in result.targets:
        if target.skipped is not None:
            found.setdefault(target.skipped, []).append(target.target)
    return sorted(found.items(), key=lambda pair: -len(pair[1]))


def waived(result: Result) -> list[tuple[str, sentences.Group]]:
    """(target, group) of every failure that a waiver accepted, one a waiver."""
    found = []
    for target in result.targets:
        kept: dict[str, list[Finding]] = {}
        for one in target.findings:
            if one.verdict == "waived":
                kept.setdefault(one.waiver.id if one.waiver else "", []).append(one)
        for some in kept.values():
            told = TargetResult(
                target=target.target,
                framework="",
                version="",
                contract={},
                verdict="waived",
                timing=target.timing,
                traits={},
                findings=some,
            )
            found += [(target.target, g) for g in sentences.groups([told], ("waived",))]
    return found


def quality(result: Result) -> list[tuple[str, str]]:
    """What a reader must know of the run itself before its verdicts are trusted."""
    ran = [t for t in result.targets if t.skipped is None]
    missing = [t for t in ran if t.error is not None]
    unsure = sum(f.verdict in ("inconclusive", "error") for t in ran for f in t.findings)
    spent = [t.timing for t in ran]
    told = [
        ("finished", "no: it was interrupted" if result.interrupted else "yes"),
        (
            "implementations",
            f"{len(ran)} audited, {len(result.targets) - len(ran)} not run, {len(missing)} ended before their end",
        ),
        ("findings", f"{sum(len(t.findings) for t in ran):,}, of which {unsure:,} could not be decided"),
        ("coins", f"{sum(t.coins for t in ran):,}"),
        (
            "seconds",
            f"{sum(s.bare_s for s in spent):.0f} in the layers, {sum(s.tally_s + s.judge_s for s in spent):.0f} counting and "
            f"judging, {sum(s.wall_s for s in spent):.0f} by the clock, all implementations added",
        ),
    ]
    load, cores = result.environment.get("load"), result.environment.get("cores")
    if isinstance(load, (list, tuple)) and load and isinstance(cores, int) and isinstance(load[0], (int, float)):
        busy = " (busy: seconds above are too long; verdicts do not depend on time)" if load[0] > 1.5 * cores else ""
        told.append(("load", f"{load[0]:.1f} on {plain_text.count(cores, 'core')} at the start{busy}"))
    return told


def traits(result: Result) -> list[dict[str, Any]]:
    """One row a trait, one cell a target that ran."""
    names: dict[str, None] = {}
    ran = [t for t in result.targets if t.skipped is None]
    for target in ran:
        names.update(dict.fromkeys(target.traits))
    rows = []
    for name in names:
        cells = []
        for target in ran:
            value = target.traits.get(name, "")
            if isinstance(value, dict):
                same: dict[str, list[str]] = {}
                for key, item in value.items():
                    shown = f"{item['class']} ({item['in_units']:+.2f} u)" if _rounding(item) else str(item)
                    if _rounding(item) and not key.endswith(("=0.1", "=0.15")):
                        continue
                    same.setdefault(shown, []).append(str(key))
                value = [f"{', '.join(keys)}: {shown}" for shown, keys in same.items()]
            else:
                value = [str(value)]
            cells.append(value)
        rows.append({"name": name, "cells": cells})
    return rows


def _rounding(item: Any) -> bool:
    return isinstance(item, dict) and "class" in item and isinstance(item.get("in_units"), (int, float))
