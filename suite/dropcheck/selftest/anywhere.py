"""Plants and null draws of ties that may stand anywhere: at any distance, of mirrored samples, of single neighbours, exclusive ors.

No resolution is printed of these. The size that is missed with probability beta follows from the rule: beyond the sum that is
certain by Bernstein's bound, the sum of the tied pairs falls short of it with a probability that the same bound limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

from dropcheck.contract.cases import Case, parse_case
from dropcheck.count import neighbouring
from dropcheck.count.copies import CERTAIN
from dropcheck.count.every_lag import ties_at_every_lag
from dropcheck.count.first_coins import COINS, bernstein, first_coins
from dropcheck.count.gathered import Gathered
from dropcheck.count.mirrored import ties_of_mirrored_samples
from dropcheck.count.neighbouring import ties_of_neighbours
from dropcheck.count.other_forms import SQUARE_FORMS
from dropcheck.judge.checks.base import Limits
from dropcheck.selftest import plants as plain
from dropcheck.selftest.simulated import record
from dropcheck.statistics import association
from dropcheck.statistics.binary_ranks import dependent, log10_dependent
from dropcheck.statistics.binomial import log10_two_sided_many

Draws = np.random.Generator
Promised = Callable[[Draws, Case, Limits], float]
LEVELS = (0.05, 0.01)
_NULL_CASES = (
    "float32 rate=0.5 32,33,3 calls=32",
    "float32 rate=0.1 16,64,3 calls=33",
    "float32 rate=0.3 513,17,3 calls=4",
)
_EVEN = 0.5  # at this rate the product of a coin and a coin tied to it is independent of all other products


def _sum_that_is_missed(pairs: float, rho: float, beta: float) -> float:
    """Below this a sum of ``pairs`` products, +-1 with mean ``rho``, falls with probability at most beta (Bernstein)."""
    log = -math.log(beta)
    largest = 1 + rho
    t = log * largest / 3 + math.sqrt((log * largest / 3) ** 2 + 2 * pairs * (1 - rho * rho) * log)
    return pairs * rho - t


def _by_bernstein(certain: Callable[[Case], float], pairs: Callable[[Case], float]) -> Promised:
    """The correlation of so many pairs at which their sum is short of the ``certain`` one with probability beta."""

    def size(rng: Draws, case: Case, limits: Limits) -> float:
        n, least = pairs(case), certain(case)
        # means that are taken away and a deviation that is estimated move the sum by a few parts in a thousand
        return float(brentq(lambda rho: _sum_that_is_missed(n, rho, limits.beta) - 1.01 * least, 0.0, 1.0 - 1e-9))

    return size


def _certain_sum(pairs: float, ways: float) -> float:
    return float(brentq(lambda t: bernstein(t, pairs, 1.0, ways) - CERTAIN, 1.0, pairs))


def _far(case: Case) -> int:
    """A distance in memory that no lag of samples or calls is."""
    return 5 * case.rows * case.channels + 7 * case.channels + 11


def _tied_far(rng: Draws, case: Case, size: float) -> Any:
    """Every coin is tied to the one ``_far`` before, over borders of calls."""
    made = plain.independent(rng, case)
    flat, lag = made.reshape(-1), _far(case)
    for start in range(lag, len(flat), lag):
        some = flat[start : start + lag]
        some[:] = plain._tied(rng, flat[start - lag : start - lag + len(some)], case.rate, size)
    return made


def _mirrored(backwards: bool) -> Any:
    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = plain.independent(rng, case).reshape(case.calls, case.rows, case.channels)
        half = case.rows // 2
        first = made[:, :half, ::-1] if backwards else made[:, :half]
        made[:, : -half - 1 : -1] = plain._tied(rng, first, case.rate, size)
        return made.reshape(-1, case.channels)

    return coins


def _mirrored_pairs(case: Case) -> int:
    """Pairs of coins of the calls that are looked at."""
    return -(-COINS // (case.rows * case.channels)) * (case.rows // 2) * case.channels


def _neighbour(rng: Draws, case: Case, size: float) -> Any:
    """The first channel of every second sample is tied to the last channel of the sample before."""
    made = plain.independent(rng, case).reshape(case.calls, case.rows, case.channels)
    made[:, 1::2, 0] = plain._tied(rng, made[:, :-1:2, -1], case.rate, size)
    return made.reshape(-1, case.channels)


def _neighbour_size(rng: Draws, case: Case, limits: Limits) -> float:
    return association.correlation_resolution(
        neighbouring._ROWS, case.rate, 10**CERTAIN / (2 * case.channels**2), limits.beta
    )


def _exclusive_or(axis: int) -> Any:
    """One call (axis 0), sample (1) or channel (2) is the exclusive or of ``size - 1`` others."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = plain.independent(rng, case).reshape(case.calls, case.rows, case.channels)
        moved = np.moveaxis(made, axis, 0)
        last, *others = rng.choice(len(moved), int(size), replace=False)
        moved[last] = np.logical_xor.reduce(moved[others])
        return made.reshape(-1, case.channels)

    return coins


def _symmetric(rng: Draws, case: Case, size: float) -> Any:
    """A share ``size`` of the calls are their own transposes."""
    made = plain.independent(rng, case).reshape(case.calls, case.rows, case.channels)
    lower = np.tril(np.ones((case.rows, case.channels), bool))
    chosen = rng.random(case.calls) < size
    made[chosen] = np.where(lower, made[chosen], made[chosen].transpose(0, 2, 1))
    return made.reshape(-1, case.channels)


def _symmetric_size(rng: Draws, case: Case, limits: Limits) -> float:
    """The share of calls at which too few for certainty are symmetric with probability beta."""
    k = np.arange(case.calls + 1)
    sure = log10_two_sided_many(k, case.calls, 0.5) + math.log10(len(SQUARE_FORMS)) <= CERTAIN
    least = int(np.flatnonzero(sure & (k > case.calls / 2))[0])
    return float(brentq(lambda share: binom.cdf(least - 1, case.calls, share) - limits.beta, 0.5, 1 - 1e-12))


def plants() -> list[plain.Plant]:
    """All of them."""
    even = f"float32 rate={_EVEN:g} 32,33,3 calls=32"
    far = _by_bernstein(lambda case: 2 * _certain_sum(COINS / 2, COINS), lambda case: COINS - _far(case) - 1)
    mirrored = _by_bernstein(
        lambda case: _certain_sum(_mirrored_pairs(case), 4 * (2 * case.channels - 1)),
        _mirrored_pairs,
    )
    found = [
        ("mask.independent-calls", "drop decisions far apart are tied", even, _tied_far, far),
        ("mask.independent-samples", "mirrored samples are tied", even, _mirrored(False), mirrored),
        ("mask.independent-samples", "mirrored samples are tied backwards", even, _mirrored(True), mirrored),
        (
            "mask.independent-samples",
            "one channel is tied to one of the next sample",
            even,
            _neighbour,
            _neighbour_size,
        ),
        (
            "mask.distinct-samples",
            "calls are symmetric",
            "float32 rate=0.5 24,24,3 calls=256",
            _symmetric,
            _symmetric_size,
        ),
    ]
    for axis, check, what in (
        (0, "mask.independent-calls", "call"),
        (1, "mask.independent-samples", "sample"),
        (2, "mask.patterns", "channel"),
    ):
        words = f"one {what} is the exclusive or of seven others"
        found.append((check, words, even, _exclusive_or(axis), lambda rng, case, limits: 8.0))
    return [plain.Plant(check, words, case, coins, True, size) for check, words, case, coins, size in found]


# --- coins without a tie: how often a bound of the chance is undercut ---------------------------------------------------


def null_sizes(draws: int, rng: Draws) -> Iterator[tuple[str, str, float, float, int]]:
    """(look, case, level, share of null cases at or below it, null cases) of every look and level; ``draws``: cases of each.

    The looks say what is certain below 10^-15 only, by bounds that hold at every level: at .05 and .01 they can be counted.
    """
    for text in _NULL_CASES:
        logs: dict[str, list[float]] = {}
        for _ in range(draws):
            for look, log in _looked(text, rng):
                logs.setdefault(look, []).append(log)
        for look, seen in logs.items():
            for level in LEVELS:
                yield look, text, level, float((np.array(seen) <= math.log10(level)).mean()), len(seen)
    yield from _ranks(draws, rng)


def _looked(text: str, rng: Draws) -> Iterator[tuple[str, float]]:
    """log10 of the chance that each look states for one case of independent coins."""
    case = parse_case(text)
    got = record(text, plain.independent(rng, case))
    assert got.once(first_coins) is not None, text
    samples, calls = got.once(ties_at_every_lag)
    yield "any distance within a call", samples[0]
    yield "any distance of calls", calls[0]
    yield "mirrored samples", got.once(ties_of_mirrored_samples)[0]
    yield from zip(("channels of neighbours", "channels of next calls"), _neighbours(got), strict=True)


def _neighbours(got: Gathered) -> tuple[float, float]:
    """The look at single neighbours with its shortcut moved to where it can hide no chance of .05."""
    before = neighbouring._SCORE
    neighbouring._SCORE = 1.5
    try:
        samples, calls = ties_of_neighbours(got)
    finally:
        neighbouring._SCORE = before
    return samples[0], calls[0]


def _ranks(draws: int, rng: Draws) -> Iterator[tuple[str, str, float, float, int]]:
    """Vectors of independent bits: how often one is the exclusive or of others, against the bound of that."""
    for n, bits in ((12, 18), (20, 26), (33, 40)):
        level = 10 ** log10_dependent(n, bits)
        ones = (1 << bits) - 1
        found = 0
        for _ in range(draws):
            rows = rng.integers(0, 1 << bits, n)
            found += dependent([ones, *(int(row) for row in rows)]) is not None
        yield "exclusive ors", f"{n} vectors of {bits} bits", level, found / draws, draws
