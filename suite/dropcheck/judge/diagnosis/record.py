"""The record of one cause of failures, as reports read it."""

from __future__ import annotations

from dataclasses import dataclass

from dropcheck.judge.levels import Level
from dropcheck.results.audit import Finding


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
