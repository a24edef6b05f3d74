"""The smallest failing case of each failure, tried on the layer itself, with its picture."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from dropcheck.auditing.over_runs import alone
from dropcheck.auditing.replay import command
from dropcheck.auditing.shrinking import BUDGETS, Spent, shrink
from dropcheck.contract.cases import Case, parse_case
from dropcheck.contract.promise import Contract
from dropcheck.count.coins import unpack
from dropcheck.count.gather import Work, count, gathered
from dropcheck.count.gathered import Gathered
from dropcheck.count.units import split
from dropcheck.judge.checks.base import Check, picture
from dropcheck.plan.request import AuditRequest
from dropcheck.results.audit import Finding, Picture
from dropcheck.worker.client import Session, TargetError
from dropcheck.worker.sessions import SessionSpec

PICTURE_ROWS, PICTURE_COLUMNS = 16, 48

# The budget ends shrinking, so that the result repeats. Only a layer whose calls take ten milliseconds and more, or hang, is
# left unfinished after this many seconds.
SECONDS = {"quick": 60.0, "standard": 300.0, "deep": 3000.0}


# log10 of the chance that a case of a layer without seeds has coins of one kind only, and so may show nothing when it is run again
_ONE_KIND = -9.0


def _may_show_nothing(case: Case) -> bool:
    """Whether all coins of a case may fall alike by chance: what kept or dropped elements show is then not seen."""
    return 0 < case.rate < 1 and case.coins * math.log10(max(case.rate, 1 - case.rate)) > _ONE_KIND


@dataclass
class Trial:
    """Whether a check still fails on the fresh coins of a candidate, in an open session.

    The request's seed and ``target`` seed the coins exactly as a planned case's, so that the shrunk case's own replay command
    flips the same coins. A layer that promises no reproducibility must fail ``draws`` times, or a replay could miss.
    """

    session: Session
    spec: SessionSpec
    contract: Contract
    check: Check
    request: AuditRequest
    target: str
    alpha_of_words: float
    draws: int = 1
    until: float = math.inf  # in time.monotonic() seconds

    def __post_init__(self) -> None:
        self.last: dict[str, Picture | None] = {}

    def __call__(self, case: Case) -> bool:
        """The predicate of ``shrink``. A candidate that the layer refuses, or the check does not ask, does not fail."""
        if time.monotonic() > self.until:
            raise Spent
        if self.draws > 1 and _may_show_nothing(case):
            return False
        return all(self._fails(case) for _ in range(self.draws))

    def _fails(self, case: Case) -> bool:
        if self.check.wants is None or self.check.judge is None or not self.check.wants(case):
            return False
        parts = []
        for unit in split(case):
            part = count(self.session, Work(unit, self.spec, self.contract.to_dict(), self.request.seed, self.target))
            if part.refusal is not None:
                return False
            parts.append(part)
        got = gathered(case, self.contract, parts, self.alpha_of_words)
        if got.proof.get("malformed") or got.proof.get("nonfinite"):
            return False
        limits = self.check.limits(self.request.profile, case, self.request.strict, self.request.resolution)
        one = self.check.judge(self.check, got, limits)
        if one is None or one.verdict != "fail":
            return False
        # no eye sees a wrong rate, scale or seed in a coin matrix: those stay without one
        matrix = self.check.family == "mask" and self.check.name != "mask.whole-channels"
        self.last[str(case)] = drawing(got) if matrix else one.picture
        return True


def shrunk(
    findings: Sequence[Finding],
    session: Session,
    spec: SessionSpec,
    contract: Contract,
    request: AuditRequest,
    target: str,
    checks: Sequence[Check],
    alpha_of_words: float,
    heavy: bool,
) -> tuple[list[Finding], bool]:
    """The findings, with the smallest case of each failing check on the failing one with the fewest coins.

    A session that ends on the way (time limit, crash) ends the shrinking, not the target: its findings stand. Returns also
    whether the session is still of use.
    """
    found = list(findings)
    failing: dict[str, list[int]] = {}
    for i, one in enumerate(found):
        if one.verdict == "fail" and alone(one):  # what only many runs show, no case shows
            failing.setdefault(one.check, []).append(i)
    chosen = [c for c in checks if c.name in failing and c.judge is not None and c.wants is not None]
    whole, seconds = BUDGETS[request.profile], SECONDS[request.profile]
    left = whole.heavy() if heavy else whole
    until = time.monotonic() + seconds
    for number, check in enumerate(chosen):
        cases = {i: parse_case(found[i].case) for i in failing[check.name] if "calls=" in found[i].case}
        if not cases:
            continue
        i = min(cases, key=lambda i: (cases[i].coins, found[i].case))
        draws = 1 if contract.seeds else 2
        trial = Trial(session, spec, contract, check, request, target, alpha_of_words, draws, until)
        try:
            small = shrink(cases[i], trial, contract, left.divided(len(chosen) - number))
        except TargetError:
            return found, False
        left = left.less(small.coins, small.calls)
        if str(small.case) in trial.last:
            shown = trial.last[str(small.case)]
            found[i] = msgspec.structs.replace(
                found[i],
                smallest=str(small.case),
                smallest_replay=command(request, target, check.name, small.case),
                picture=shown or found[i].picture,
            )
    return found, True


def drawing(got: Gathered) -> Picture | None:
    """The coin matrix of a small case, at most 16 x 48: all of it, or its first and last rows and channels.

    A smallest case has no channel and no row too many, so what shows the defect is often the last of them. Few channels
    with many rows are drawn turned, channels below each other.
    """
    if got.sample is None:
        return None
    coins = unpack(got.sample, got.tally.channels)
    rows, channels = coins.shape
    turned = rows > PICTURE_ROWS and channels <= PICTURE_ROWS and rows > channels
    if turned:
        coins = coins.T
    down, across = _ends(coins.shape[0], PICTURE_ROWS), _ends(coins.shape[1], PICTURE_COLUMNS)
    names = ("channel", "row") if turned else ("row", "channel")
    lines = []
    for i in down:
        text = "".join("." if coins[i, j] else "#" for j in across)
        parts = [text[k : k + 4] for k in range(0, len(text), 4)]
        if len(across) < coins.shape[1]:
            parts.insert(len(parts) // 2, "…")
        lines.append(" ".join(parts))
    where = f"{names[1]}s 0 to {coins.shape[1] - 1}"
    if len(across) < coins.shape[1]:
        half = len(across) // 2
        where = f"{names[1]}s {across[0]} to {across[half - 1]} and {across[half]} to {across[-1]}"
    per_call = got.case.rows
    labels = [f"channel {i}" if turned or got.case.batches else _row_name(int(i), per_call, got) for i in down]
    if got.case.batches and not turned:
        labels = [f"row {i}" for i in down]
    return picture(f"the smallest case; across: {where}, down: {names[0]}s; # kept, . dropped", names[1], lines, labels)


def _row_name(row: int, per_call: int, got: Gathered) -> str:
    if got.case.calls < 2:
        return f"row {row}"
    return f"call {row // per_call} row {row % per_call}"


def _ends(size: int, most: int) -> Any:
    """All indices, or as many from the start as from the end."""
    if size <= most:
        return np.arange(size)
    return np.concatenate([np.arange(most // 2), np.arange(size - most // 2, size)])
