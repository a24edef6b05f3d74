"""What a page says of a run beside its verdicts: commands, machine, waivers, traits, and what did not run."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dropcheck.report import sentences
from dropcheck.report.sentences import Group
from dropcheck.results import embedded, plain_text, reading
from dropcheck.results.audit import Finding, Result, TargetResult

_DEEP = 4  # levels of lists and mappings within a value that are shown
_OWN = (embedded.LEFT_OUT, "commands", "results")  # what of an environment has a place of its own


def away(result: Result) -> list[tuple[str, list[str]]]:
    """(reason, targets) of what did not run here."""
    found: dict[str, list[str]] = {}
    for target in result.targets:
        if target.skipped is not None:
            found.setdefault(target.skipped, []).append(target.target)
    return sorted(found.items(), key=lambda pair: -len(pair[1]))


def commands(result: Result) -> list[str]:
    """The command lines that made this result, each as it was typed; none where another program made it.

    Several results as one hold theirs apart; where an older release joined them, each begins with its ``audit``.
    """
    lines = reading.commands(result)
    if lines == [result.argv]:
        lines = []
        for word in result.argv:
            if not lines or (word == "audit" and word == result.argv[0]):
                lines.append([])
            lines[-1].append(word)
    return [shlex.join(["dropcheck", *one]) for one in lines if one]


def quality(result: Result) -> list[tuple[str, str]]:
    """What a reader must know of the run itself before its verdicts are trusted."""
    ran = [t for t in result.targets if t.skipped is None]
    ended = [t for t in ran if t.error is not None]
    unsure = sum(f.verdict in ("inconclusive", "error") for t in ran for f in t.findings)
    spent = [t.timing for t in ran]
    found = [
        ("complete", "no: the run was interrupted" if result.interrupted else "yes"),
        (
            "implementations",
            f"{len(ran)} audited, {len(result.targets) - len(ran)} not run, {len(ended)} ended early",
        ),
        ("results", f"{sum(len(t.findings) for t in ran):,}, {unsure:,} of them without a verdict"),
        ("samples", f"{sum(t.coins for t in ran):,} drop decisions"),
        (
            "time",
            f"{sum(s.wall_s for s in spent):.0f} s over all implementations; layers {sum(s.bare_s for s in spent):.0f} s, "
            f"statistics {sum(s.tally_s + s.judge_s for s in spent):.0f} s, partly at once",
        ),
    ]
    load, cores = result.environment.get("load"), result.environment.get("cores")
    if isinstance(load, (list, tuple)) and load and isinstance(cores, int) and isinstance(load[0], (int, float)):
        busy = " (busy: times are too long; verdicts do not depend on them)" if load[0] > 1.5 * cores else ""
        found.append(("load", f"{load[0]:.1f} on {plain_text.count(cores, 'core')} at the start{busy}"))
    return found


# --- waivers ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accepted:
    """Failures of one check that one waiver accepted."""

    id: str
    target: str
    group: Group


def waivers(target: TargetResult) -> list[Group]:
    """The failures of a target that waivers accepted: one group a waiver and check."""
    kept: dict[str, list[Finding]] = defaultdict(list)
    for one in target.findings:
        if one.verdict == "waived":
            kept[one.waiver.id if one.waiver else ""].append(one)
    return [
        group
        for some in kept.values()
        for group in sentences.groups([msgspec.structs.replace(target, findings=some)], ("waived",))
    ]


def waived(result: Result) -> list[Accepted]:
    """Every failure of a result that a waiver accepted, in the order of targets."""
    return [
        Accepted(f"t{i}-w{n}", target.target, group)
        for i, target in enumerate(result.targets)
        for n, group in enumerate(waivers(target), 1)
    ]


# --- the machine ---------------------------------------------------------------------------------------------------------


def machine(result: Result) -> list[tuple[str, str]]:
    """Where the run took place, as (name, words)."""
    shown = [(key, value) for key, value in result.environment.items() if key not in _OWN and key != "load"]
    return [(plain_text.line(str(key)), words(value)) for key, value in shown]


def words(value: Any, depth: int = 0) -> str:
    """A value of a result in words: no brackets, no quotes of a programming language."""
    if isinstance(value, Mapping):
        parts = [f"{plain_text.line(str(key))} {words(one, depth + 1)}" for key, one in value.items()]
        return ", ".join(parts) if depth < _DEEP else "..."
    if isinstance(value, (list, tuple)):
        return ", ".join(words(one, depth + 1) for one in value) if depth < _DEEP else "..."
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else plain_text.line(str(value), 1000)


def differences(result: Result) -> tuple[list[str], list[list[str]]]:
    """Of several results as one: their names and what is not the same in all, as columns and rows; else nothing."""
    told = result.environment.get("results")
    if not isinstance(told, list) or not all(isinstance(one, Mapping) for one in told):
        return [], []
    rows = [_flat(one) for one in told]
    names = list(dict.fromkeys(name for row in rows for name in row))
    apart = [n for n in names if n == "name" or len({row.get(n, "") for row in rows}) > 1]
    return apart, [[row.get(name, "") for name in apart] for row in rows]


def _flat(one: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in one.items():
        if key == "environment" and isinstance(value, Mapping):
            found.update({str(k): words(v) for k, v in value.items() if k not in _OWN})
        else:
            found[str(key)] = words(value)
    return found


# --- traits --------------------------------------------------------------------------------------------------------------


def traits(result: Result) -> list[dict[str, Any]]:
    """One row a trait, one cell a target that ran."""
    names: dict[str, None] = {}
    ran = [t for t in result.targets if t.skipped is None]
    for target in ran:
        names.update(dict.fromkeys(target.traits))
    return [{"name": name, "cells": [trait_lines(target.traits.get(name, "")) for target in ran]} for name in names]


def trait_lines(value: Any) -> list[str]:
    """The value of a trait as lines that people read: what several parts have in common once, roundings at two rates."""
    if not isinstance(value, dict):
        return [words(value)]
    same: dict[str, list[str]] = {}
    for key, item in value.items():
        shown = f"{item['class']} ({item['in_units']:+.2f} u)" if _rounding(item) else words(item)
        if _rounding(item) and not key.endswith(("=0.1", "=0.15")):
            continue
        same.setdefault(shown, []).append(str(key))
    return [f"{', '.join(keys)}: {shown}" for shown, keys in same.items()]


def _rounding(item: Any) -> bool:
    return isinstance(item, dict) and "class" in item and isinstance(item.get("in_units"), (int, float))
