"""Ending early: cases that ask nothing statistical but the rate stop as soon as two likelihood ratios decide it.

For targets whose calls are expensive (``--sequential``). The case is cut into small units; they are looked at in their
order, whatever order they come in, and those behind the deciding one are ignored: so the result is a function of the plan
and the seed alone. Error probabilities and resolution are those of the fixed plan (statistics/sequential.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract
from dropcheck.count.gather import Counted
from dropcheck.count.units import Unit
from dropcheck.judge.checks.base import Check, settle
from dropcheck.plan.request import AuditRequest
from dropcheck.results.audit import Finding
from dropcheck.statistics import sequential

PARTS = 16  # looks at the coins of a fixed plan; up to three times as many until the cap
LEAST_CALLS = 4  # of one layer: what goes wrong at its second call must be seen
MARGINAL = "rate.marginal"


@dataclass(frozen=True)
class Early:
    """One case that may end early. ``least``: coins that its exact checks need before it may pass."""

    case: Case
    sides: sequential.Sides
    units: tuple[Unit, ...]
    least: int
    coarsest: float | None

    def used(self, parts: Mapping[int, Counted]) -> list[Counted]:
        """The first units up to the one that decides, or that the layer refuses; empty while more must come."""
        state, seen = sequential.State(), list[Counted]()
        for unit in self.units:
            part = parts.get(unit.index)
            if part is None:
                return []
            seen.append(part)
            if part.refusal is not None:
                return seen
            state = sequential.after(self.sides, state, part.tally.dropped, part.tally.coins)
            decision = sequential.decide(self.sides, state)
            if decision == "fail" or (decision == "pass" and state.n >= self.least):
                return seen
        return seen

    def finding(self, fixed: Finding, used: Sequence[Counted]) -> Finding:
        """What the coins of these units say of the rate, in place of the finding that a fixed plan would make of them."""
        state = sequential.State()
        for part in used:
            state = sequential.after(self.sides, state, part.tally.dropped, part.tally.coins)
        failed = sequential.decide(self.sides, state) == "fail"
        sides, share = self.sides, state.k / max(1, state.n)
        off = share - sides.p
        seen = f"the layer drops with probability {share:.5g}"
        if failed:
            seen += f", expected {sides.p:g}: {abs(off) * 100:.3g} points too {'high' if off > 0 else 'low'}"
        else:
            seen += f", expected {sides.p:g}"
        return msgspec.structs.replace(
            fixed,
            verdict=settle(failed, sides.delta1 - sides.delta0, self.coarsest),
            message=f"{seen}; decided after {state.n:,} drop decisions, where a fixed plan takes {self.case.coins:,}",
            coins=state.n,
            resolution=sides.delta1,
            log10_evidence=max(-99999.0, sequential.log10_evidence(sides, state)),
            # intervals of a fixed number of coins do not hold where the coins end early
            fail_interval=None,
            pass_interval=None,
            tallies={
                "dropped": state.k,
                "coins": state.n,
                "tolerated": sides.delta0,
                "units": len(used),
                "planned": self.case.coins,
                "cap": sides.cap,
                "log_ratios": [list(state.lowest), list(state.highest)],
            },
        )


def plans(request: AuditRequest, contract: Contract, asked: Mapping[Case, Sequence[Check]]) -> dict[Case, Early]:
    """The cases that may end early. Nothing without ``--sequential``."""
    if not request.sequential:
        return {}
    found = {case: _plan(request, contract, case, checks) for case, checks in asked.items()}
    return {case: one for case, one in found.items() if one is not None}


def _plan(request: AuditRequest, contract: Contract, case: Case, checks: Sequence[Check]) -> Early | None:
    """None where another statistic needs the coins, or where a side of the rate has no room for the deviation."""
    statistical = [c for c in checks if c.share > 0 and c.judge is not None]
    if case.regime != "stream" or [c.name for c in statistical] != [MARGINAL]:
        return None
    (marginal,) = statistical
    limits = marginal.limits(request.profile, case, request.strict, request.resolution)
    try:
        sides = sequential.plan(case.rate, case.coins, limits.alpha, limits.beta, contract.rate_tolerance(case.rate))
    except ValueError:
        return None
    if not all(sides.tested()):
        return None
    least = 0.0
    for check in checks:
        coarsest = check.limits(request.profile, case, request.strict, request.resolution).coarsest
        if check.name != MARGINAL and check.judge is not None and coarsest is not None:
            # an event of that probability among the kept coins, seen with probability 1 - beta; a tenth in reserve
            least = max(least, 1.1 * math.log(1 / limits.beta) / coarsest / (1 - case.rate))
    return Early(case, sides, _units(case, sides.cap), min(case.coins, math.ceil(least)), limits.coarsest)


def _units(case: Case, cap: int) -> tuple[Unit, ...]:
    """Equal units of whole turns of batches, as many as reach the cap: a function of the case and its plan alone."""
    turn = max(1, len(case.batches))
    calls = max(-(-case.calls // PARTS), min(case.calls, LEAST_CALLS))
    calls = -(-calls // turn) * turn
    coins = (sum(case.batches) * calls // turn if case.batches else case.rows * calls) * case.channels
    return tuple(Unit(case, index, calls) for index in range(-(-cap // coins)))


def slim(counted: Counted) -> Counted:
    """A unit without the counts that nobody asks for: many small units of many channels would fill the memory."""
    counted.tally = counted.tally.sums()
    counted.lookup = counted.anywhere = None
    return counted
