"""Diagnosis: the failures of one target, one block a cause: what was observed, how to fix it, what else fails for it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from dropcheck.judge.checks import CHECK
from dropcheck.judge.levels import LEVELS, Level, of
from dropcheck.results.audit import Finding, TargetResult
from dropcheck.results.plain_text import strongest


@dataclass(frozen=True)
class Diagnosis:
    """One cause of failures in one target.

    ``observed``: one sentence with the numbers measured. ``fix``: what to change. ``lead``: the result that shows it best
    (its case, picture, command). ``also``: the other checks that fail for this cause. ``findings``: all failing results.
    ``cause``: a name that is equal for equal causes of several targets.
    """

    level: Level
    cause: str
    observed: str
    fix: str
    lead: Finding
    also: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def check(self) -> str:
        """The check that names the cause."""
        return self.lead.check


def diagnose(target: TargetResult) -> tuple[Diagnosis, ...]:
    """The causes of all failures of a target, worst first: by level, then in the order of the check table."""
    by_check: dict[tuple[Level, str], list[Finding]] = defaultdict(list)
    for one in target.findings:
        if one.verdict == "fail":
            by_check[of(one), one.check].append(one)
    order = {name: i for i, name in enumerate(CHECK)}
    made = []
    for (level, check), some in by_check.items():
        lead = strongest(some)
        remedy = CHECK[check].remedy if check in CHECK else ""  # stored results may name checks of other releases
        made.append(Diagnosis(level, check, lead.message, remedy, lead, (), tuple(some)))
    return tuple(sorted(made, key=lambda d: (LEVELS.index(d.level), order.get(d.check, len(order)))))
