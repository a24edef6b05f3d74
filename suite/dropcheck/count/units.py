"""Units of work: a case cut into pieces that depend on nothing but the plan, so that any machine may run any of them."""

from __future__ import annotations

from dataclasses import dataclass

from dropcheck.contract import requirements
from dropcheck.contract.cases import Case, seed_of
from dropcheck.count.coins import WORD

UNIT_COINS = 1 << 25  # coins of one unit: about a second of a fast layer, far more than it costs to hand it out


@dataclass(frozen=True)
class Unit:
    """Some successive calls of one case, by a layer of their own. ``calls`` of them, ``index``-th of its case."""

    case: Case
    index: int
    calls: int

    def seed(self, root: int, target: str) -> int:
        """The unit's seed: the case's own for the first unit, so that a case of one unit and its replay are the same."""
        return seed_of(root, requirements.plain(target), self.case, *(("unit", self.index) if self.index else ()))


def split(case: Case) -> tuple[Unit, ...]:
    """The units of a case: whole words of 64 calls each, all but the last alike.

    The cut is a function of the case alone, never of how many workers there are: neither ``--jobs`` nor a cluster nor a
    lost worker changes a coin. Seeds are compared with each other, so a case of the regime ``seeds`` is one unit.
    """
    per_call = max(1, case.coins // max(1, case.calls))
    step = WORD * max(1, len(case.batches))
    most = max(step, UNIT_COINS // per_call // step * step)
    if case.regime == "seeds" or 2 * case.calls <= 3 * most:
        return (Unit(case, 0, case.calls),)
    count = -(-case.calls // most)
    size = -(-case.calls // count // step) * step
    units: list[Unit] = []
    left = case.calls
    while left > 0:
        units.append(Unit(case, len(units), min(size, left)))
        left -= size
    return tuple(units)
