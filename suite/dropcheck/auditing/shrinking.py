"""Shrinking: from a failing case to the smallest that still fails, in greedy passes over plainer and smaller candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract

PLAIN_RATES = (0.5, 0.3, 0.1)

OVERHEAD_CALLS = 16  # what a try costs beside its coins (a layer, a probe, a judgement), in calls
HEAVY_CALLS = 64  # the same where each new shape is compiled, in calls of a millisecond

MERGED_ELEMENTS = 1 << 19  # calls are merged to one only below this many elements

Predicate = Callable[[Case], bool]


@dataclass(frozen=True)
class Budget:
    """Coins and calls that shrinking may spend: not seconds, so that the same seed shrinks to the same case.

    ``overhead``: what a try costs beside its coins, in calls.
    """

    coins: int
    calls: int
    overhead: int = OVERHEAD_CALLS

    def divided(self, parts: int) -> Budget:
        """An equal part of it."""
        return Budget(self.coins // max(1, parts), self.calls // max(1, parts), self.overhead)

    def heavy(self) -> Budget:
        """That of a layer whose calls cost a millisecond, and each new shape a compilation."""
        return Budget(self.coins // 4, self.calls // 10, HEAVY_CALLS)

    def less(self, coins: int, calls: int) -> Budget:
        """What is left of it."""
        return Budget(self.coins - coins, self.calls - calls, self.overhead)


# One target's budgets; about 20 ns a coin and .1 ms a call make them 1 to 2 s in quick.
BUDGETS = {
    "quick": Budget(30_000_000, 24_000),
    "standard": Budget(300_000_000, 60_000),
    "deep": Budget(2_000_000_000, 400_000),
}


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
            coins, calls = self.coins + case.coins, self.calls + case.calls + self.budget.overhead
            if coins > self.budget.coins or calls > self.budget.calls:
                self.short = True
                if self.calls + self.budget.overhead > self.budget.calls or self.coins >= self.budget.coins:
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
