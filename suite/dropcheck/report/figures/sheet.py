"""The figures of one page: numbered, within a budget of bytes, and which of them show a failure or a pass best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dropcheck.report.figures import coins, counts, ladder, pairs, positions
from dropcheck.report.figures.svg import Figure
from dropcheck.report.sentences import Group
from dropcheck.results import plain_text
from dropcheck.results.audit import Picture, TargetResult

_LAGGED = (
    "mask.independent-channels",
    "mask.independent-samples",
    "mask.independent-calls",
    "mask.ignores-values",
    "seed.neighbours",
)


class Drawn(NamedTuple):
    """A figure with its number on the page."""

    number: int
    figure: Figure


@dataclass
class Sheet:
    """The figures of one page: each has a number, and together they take at most ``room`` bytes."""

    room: int = 500_000
    taken: int = 0
    drawn: int = 0
    left_out: int = 0

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
        return [Drawn(self.drawn, figure)]


def of_failure(group: Group, picture: Picture | None, target: TargetResult, sheet: Sheet) -> list[Drawn]:
    """What shows a failure best: ``picture``, its smallest example, and the counts behind it."""
    found: list[Drawn] = []
    if picture is not None and picture.rows:
        found += sheet.take(coins.figure(picture, f"{plain_text.line(target.target, 120)}, {group.check}"))
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


def of_passes(target: TargetResult, sheet: Sheet) -> list[Drawn]:
    """What passing masks look like: the case with most samples of each counted check."""
    found: list[Drawn] = []
    passed = [f for f in target.findings if f.verdict == "pass"]
    if not any(f.check == "rate.marginal" and f.verdict == "fail" for f in target.findings):
        found += sheet.take(ladder.figure(target.target, passed))
    for check, draw in (
        ("mask.dropped-count", counts.figure),
        ("rate.per-channel", positions.figure),
        ("mask.independent-channels", pairs.lags),
    ):
        some = [f for f in passed if f.check == check]
        if some:
            found += sheet.take(draw(max(some, key=lambda f: f.coins)))
    return found
