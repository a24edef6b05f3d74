"""Shrinking: from a failing case to the smallest that still fails, in greedy passes over plainer and smaller candidates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from dropcheck.auditing.over_runs import alone
from dropcheck.auditing.replay import command
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

PLAIN_RATES = (0.5, 0.3, 0.1)
OVERHEAD_CALLS = 16  # what a try costs beside its coins (a layer, a probe, a judgement), in calls
MERGED_ELEMENTS = 1 << 19  # calls are merged to one only below this many elements
PICTURE_ROWS, PICTURE_COLUMNS = 16, 48

Predicate = Callable[[Case], bool]


@dataclass(frozen=True)
class Budget:
    """Coins and calls that shrinking may spend: not seconds, so that the same seed shrinks to the same case."""

    coins: int
    calls: int

    def divided(self, parts: int) -> Budget:
        """An equal part of it."""
        return Budget(self.coins // max(1, parts), self.calls // max(1, parts))


# One target's budgets; about 20 ns a coin and .1 ms a call make them 1 to 2 s in quick.
BUDGETS = {
    "quick": Budget(30_000_000, 24_000),
    "standard": Budget(300_000_000, 60_000),
    "deep": Budget(2_000_000_000, 400_000),
}
# A layer whose calls are slow is left unfinished after this many seconds; no other layer is, so the result repeats.
SECONDS = {"quick": 4.0, "standard": 30.0, "deep": 300.0}


@dataclass(frozen=True)
class Shrunk:
    """The smallest case found. ``finished``: nothing smaller fails; else the budget was spent first."""

    case: Case
    tries: int
    coins: int
    calls: int
    finished: bool


class Spent(Exception):
    """The budget does not reach for the next candidate; a predicate raises it to stop."""


class _Tries:
    """Asks each candidate once, and keeps account."""

    def __init__(self, start: Case, still_fails: Predicate, budget: Budget) -> None:
        self.known = {str(start): True}
        self.still_fails, self.budget = still_fails, budget
        self.coins = self.calls = self.tries = 0
        self.short = False

    def __call__(self, case: Case) -> bool:
        text = str(case)
        if text not in self.known:
            coins, calls = self.coins + case.coins, self.calls + case.calls + OVERHEAD_CALLS
            if coins > self.budget.coins or calls > self.budget.calls:
                self.short = True
                if self.calls + OVERHEAD_CALLS > self.budget.calls or self.coins >= self.budget.coins:
                    raise Spent
                return False  # this one is too dear; a smaller one may not be
            self.coins, self.calls, self.tries = coins, calls, self.tries + 1
            self.known[text] = self.still_fails(case)
        return self.known[text]


def shrink(case: Case, still_fails: Predicate, contract: Contract, budget: Budget) -> Shrunk:
    """The smallest case that still fails, starting from ``case``, which does.

    Passes, each candidate accepted if it still fails, until none is: plainer fields (dtype, layout, gradient recording,
    inference calls, batches, regime, rate), then fewer calls, shared elements, channels and rows. Few calls come before
    few rows: one call is easier to repeat than many. Every accepted candidate is smaller in that order, so it ends.
    """
    tries = _Tries(case, still_fails, budget)
    now = replace(case, drawn=False)
    try:
        while True:
            before = now
            for plainer in _plainer:
                for candidate in plainer(now, contract):
                    if tries(candidate):
                        now = candidate
                        break
            now = _merged(now, contract, tries)
            for name in ("calls", "shared", "channels", "rows"):
                now = _smallest(now, name, contract, tries)
            now = _fewer_batches(now, tries)
            if now == before:
                break
    except Spent:
        tries.short = True
    return Shrunk(now, tries.tries, tries.coins, tries.calls, not tries.short)


# --- plainer fields --------------------------------------------------------------------------------------------------


def _dtype(case: Case, contract: Contract) -> Iterator[Case]:
    if case.dtype != "float32":
        yield replace(case, dtype="float32")


def _layout(case: Case, contract: Contract) -> Iterator[Case]:
    if case.layout != "contiguous":
        yield replace(case, layout="contiguous")


def _gradient(case: Case, contract: Contract) -> Iterator[Case]:
    if case.grad:
        yield replace(case, grad=False)


def _inference(case: Case, contract: Contract) -> Iterator[Case]:
    if case.infer:
        yield replace(case, infer=0)
        if case.infer > 1:
            yield replace(case, infer=1)


def _batches(case: Case, contract: Contract) -> Iterator[Case]:
    if case.batches:
        yield replace(case, batches=(), rows=case.rows)
        yield replace(case, batches=(), rows=max(case.batches))


def _regime(case: Case, contract: Contract) -> Iterator[Case]:
    if case.regime != "stream":
        yield replace(case, regime="stream", way="")


def _rate(case: Case, contract: Contract) -> Iterator[Case]:
    for rate in PLAIN_RATES:
        if case.rate == rate:
            return
        if not contract.rates or rate in contract.rates:
            yield replace(case, rate=rate)


_plainer = (_dtype, _layout, _gradient, _inference, _batches, _regime, _rate)


# --- sizes -----------------------------------------------------------------------------------------------------------


def _fixed(name: str, contract: Contract) -> bool:
    """Whether the pattern has only one value for this size."""
    pattern = contract.pattern
    held = {axis for axis, _ in pattern.sizes}
    return {
        "channels": pattern.channel_axis is None or pattern.channel_axis in held,
        "rows": held.issuperset(pattern.row_axes) or bool(held.intersection(pattern.row_axes)),
        "shared": held.issuperset(pattern.shared) or bool(held.intersection(pattern.shared)),
        "calls": False,
    }[name]


def _below(size: int) -> list[int]:
    """Sizes to try in turn: the smallest first, because small tries cost least; beside every power of two, and odd ones."""
    found = {1, 2, 3}
    power = 4
    while power <= 2 * size:
        found |= {power - 1, power, power + 1}
        power *= 2
    return sorted(n for n in found if n < size)


def _resized(case: Case, name: str, size: int) -> Case:
    changes: dict[str, Any] = {name: size}
    if name == "calls" and case.regime == "seeds":
        changes[name] = 2 * max(1, size // 2)  # two calls a seed
    return replace(case, **changes)


def _smallest(case: Case, name: str, contract: Contract, tries: _Tries) -> Case:
    """The case with the smallest value of one size that still fails."""
    size = int(getattr(case, name))
    if size <= 1 or _fixed(name, contract) or (name == "rows" and case.batches):
        return case
    low = 0
    for n in _below(size):
        if tries(_resized(case, name, n)):
            size = n
            break
        low = n
    # between the largest that did not fail and the smallest that did: by halves, as far as the defect is monotone
    high = size
    while high - low > 1:
        middle = (low + high) // 2
        if tries(_resized(case, name, middle)):
            high = middle
        else:
            low = middle
    # a defect that lives in odd sizes only is not: two less, while that still fails
    while high > 2 and tries(_resized(case, name, high - 2)):
        high -= 2
    return _resized(case, name, high) if high < int(getattr(case, name)) else case


def _merged(case: Case, contract: Contract, tries: _Tries) -> Case:
    """All calls as one call with more rows, where that still fails: as many coins, but one call."""
    if case.calls < 2 or case.batches or case.regime == "seeds" or _fixed("rows", contract):
        return case
    rows = case.rows * case.calls
    if rows * case.channels * case.shared > MERGED_ELEMENTS:
        return case
    one = replace(case, rows=rows, calls=1)
    return one if tries(one) else case


def _fewer_batches(case: Case, tries: _Tries) -> Case:
    """Batch sizes that change: fewer of them, then smaller ones."""
    if not case.batches:
        return case
    i = 0
    while len(case.batches) > 1 and i < len(case.batches):
        fewer = replace(case, batches=case.batches[:i] + case.batches[i + 1 :])
        if tries(fewer):
            case = fewer
        else:
            i += 1
    for i, size in enumerate(case.batches):
        for n in _below(size):
            smaller = replace(case, batches=(*case.batches[:i], n, *case.batches[i + 1 :]))
            if tries(smaller):
                case = smaller
                break
    return case


# --- on a real layer -------------------------------------------------------------------------------------------------


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
    left = Budget(whole.coins // 4, whole.calls // 10) if heavy else whole
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
        left = Budget(left.coins - small.coins, left.calls - small.calls)
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
