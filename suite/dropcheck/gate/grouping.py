"""Lines of a decision together: one group a check of a target, its cases worst first, as every format shows them."""

from __future__ import annotations

from collections.abc import Sequence

from dropcheck.gate.decision import Counts, Line
from dropcheck.results.plain_text import count

MOST = 20  # cases that one text lists
_GRAVITY = {"defect": 0, "edge": 1, "trait": 2, None: 0}


def grouped(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines of one target, check, device and policy line together, the gravest first; in each the one that says most first."""
    found: dict[tuple[str, ...], list[Line]] = {}
    for one in lines:
        found.setdefault((*_key(one), one.rule), []).append(one)
    return sorted(map(worst_first, found.values()), key=lambda some: _GRAVITY[some[0].level])


def checks(lines: Sequence[Line]) -> list[list[Line]]:
    """All lines of one target, check and device together, whatever they count."""
    found: dict[tuple[str, ...], list[Line]] = {}
    for one in lines:
        found.setdefault(_key(one), []).append(one)
    return list(found.values())


def _key(one: Line) -> tuple[str, ...]:
    # what the gate says of evidence, waivers and figures is one thing a sentence
    return (one.target, one.check, one.device, one.message if one.check.startswith("gate.") else "")


def worst_first(some: Sequence[Line]) -> list[Line]:
    """The gravest level first, in it the largest deviation."""
    return sorted(some, key=lambda one: (_GRAVITY[one.level], -_far(one)))


def _far(one: Line) -> float:
    return abs(one.estimate - (one.expected or 0.0)) if one.estimate is not None else 0.0


def of(some: Sequence[Line], *counts: Counts) -> list[Line]:
    """Those that count so, worst first."""
    return worst_first([one for one in some if one.counts in counts])


def cases(some: Sequence[Line], total: int) -> list[str]:
    """How many cases these are, and what was seen in each: the first ones, and how many more there are."""
    if not any(one.case for one in some):
        return []
    level = some[0].level
    head = f"{len(some)} of {count(total, 'case')}" + (f", level {level}" if level else "")
    rows = [f"  {one.case}: {one.message}" for one in some[:MOST]]
    more = [f"  and {count(len(some) - MOST, 'more case')}"] if len(some) > MOST else []
    return [f"{head}:", *rows, *more]
