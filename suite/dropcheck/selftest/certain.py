"""Plants of what must be certain (below 10^-15 by chance) or stands in single places, and the sizes that their rules promise.

Words at any offset of the flat stream, calls with a rate of their own, ties of both signs that cancel in sums. No resolution
is printed of these: the size that is missed with probability beta is worked out here from the rule of the check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special
from scipy.stats import binom

from dropcheck.contract.cases import Case
from dropcheck.count.coins import lag_firsts
from dropcheck.count.copies import CERTAIN, odd_log10
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import least_extent
from dropcheck.count.tallies import Association
from dropcheck.judge.checks.base import Limits
from dropcheck.judge.checks.mask_ties import FULL_LAG
from dropcheck.selftest import plants as plain
from dropcheck.selftest import simulated
from dropcheck.statistics import association

Draws = np.random.Generator
_SAMPLES = 16  # cases of independent coins whose words are counted for the length of a stretch
# Of tables with so many single channels and places, the tables of a check: see ``dependence._lagged``.
_Tables = Callable[[Gathered], Sequence[Association]]


# --- the sizes that are promised -------------------------------------------------------------------------------------


def _stretch(rng: Draws, case: Case, limits: Limits) -> float:
    """Coins of the stretch that escapes the words at any offset with probability beta; see ``words.least_extent``."""
    words = kept = length = 0.0
    for _ in range(_SAMPLES):
        got = simulated.record(str(case), plain.independent(rng, case))
        simulated.look_anywhere(got)
        assert got.anywhere is not None, str(case)
        words, kept, length = words + got.anywhere.words, kept + got.anywhere.kept, got.anywhere.rows
    return float(least_extent(words, kept, int(length), limits.beta))


def _call(sign: int) -> Callable[[Draws, Case, Limits], float]:
    """Points by which the rate of one call is off, so that ``copies.odd_calls`` misses it with probability beta."""

    def size(rng: Draws, case: Case, limits: Limits) -> float:
        coins, calls = case.rows * case.channels, case.calls
        if sign > 0:
            most = range(math.ceil(coins * case.rate), coins + 1)
            k = next(k for k in most if odd_log10(k, coins, case.rate, calls) <= CERTAIN)
            return float(special.betaincinv(k, coins - k + 1, 1 - limits.beta)) - case.rate
        least = range(math.floor(coins * case.rate), -1, -1)
        k = next(k for k in least if odd_log10(k, coins, case.rate, calls) <= CERTAIN)
        return case.rate - float(special.betaincinv(k + 1, coins - k, limits.beta))

    return size


def _single(tables: _Tables, of: Callable[[Case], int], level: float | None = None) -> Any:
    """The correlation of one channel, or of one place, that is missed with probability beta.

    ``of``: pairs of coins of the one that is tied; ``level``: the share of the check's alpha, or None where ties must be certain.
    """

    def size(rng: Draws, case: Case, limits: Limits) -> float:
        coins = plain.independent(rng, case)
        classes = simulated.classes_of(rng, case, len(coins)) if case.regime == "values" else None
        tests = sum(len(t.pairs) for t in tables(simulated.record(str(case), coins, classes)))
        alpha = 10**CERTAIN if level is None else limits.alpha * level
        return association.correlation_resolution(of(case), case.rate, alpha / tests, limits.beta)

    return size


def _full(lags: Sequence[Association]) -> list[Association]:
    most = max(int(t.pairs.sum()) for t in lags)
    return [t for t in lags if t.pairs.sum() >= FULL_LAG * most]


def _of_calls(got: Gathered) -> Sequence[Association]:
    lags = [*got.live.call_lags.values(), *got.live.call_shifts.values()]
    return [*_full(lags), *got.live.call_places.values()]


def _of_rows(got: Gathered) -> Sequence[Association]:
    lags = [t for lag, t in got.live.row_lags.items() if 2 * lag <= got.case.rows]
    places = got.live.row_places.ravel()
    return [*_full(lags), Association(places, places, places, places)]


def _of_values(got: Gathered) -> Sequence[Association]:
    return got.tally.values


def _of_seeds(got: Gathered) -> Sequence[Association]:
    return list(got.live.seed_places.values())


def _pair(rng: Draws, case: Case, limits: Limits) -> float:
    """The correlation of one pair of neighbouring calls that ``dependence._by_pair`` misses with probability beta."""
    alpha = 10**CERTAIN / (case.calls // 2)
    return association.correlation_resolution(case.rows * case.channels, case.rate, alpha, limits.beta)


# --- coins -----------------------------------------------------------------------------------------------------------


def _moved(part: Callable[[Case], tuple[int, bool]]) -> Any:
    """A stretch of ``size`` coins stands twice, the second time at another place of a row.

    ``part(case)``: the rows within which it stands whole, and whether its copy is in another such part.
    """

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = plain.independent(rng, case)
        flat, length = made.reshape(-1), math.ceil(size)
        rows, other = part(case)
        room = rows * case.channels - length  # where it may begin
        one = two = 0
        while (one - two) % case.channels == 0:
            if other:
                first, second = sorted(rng.choice(len(flat) // (rows * case.channels), 2, replace=False))
                one, two = (int(p) * rows * case.channels + int(rng.integers(room + 1)) for p in (first, second))
            else:
                start = int(rng.integers(len(flat) // (rows * case.channels))) * rows * case.channels
                one, two = start, start + length + int(rng.integers(room - length + 1))
        flat[two : two + length] = flat[one : one + length]
        return made

    return coins


def _odd(sign: int) -> Any:
    """One call drops at another rate."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        rates = np.full((case.calls, 1, 1), case.rate)
        rates[case.calls // 3] += sign * size
        return (rng.random((case.calls, case.rows, case.channels)) < rates).reshape(-1, case.channels)

    return coins


def _channels_of(axis: int) -> Any:
    """Channel 2 is tied to itself one row (axis 1) or call (axis 0) before, channel 3 with the other sign: sums cancel."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        made = np.moveaxis(plain.independent(rng, case).reshape(case.calls, case.rows, case.channels), axis, 0)
        first = lag_firsts(len(made), 1)
        for channel, sign in ((2, 1), (3, -1)):
            made[first + 1, :, channel] = plain._tied(rng, made[first, :, channel], case.rate, sign * size)
        return np.moveaxis(made, 0, axis).reshape(-1, case.channels)

    return coins


def _places_of_calls(rng: Draws, case: Case, size: float) -> Any:
    """Two places of a call are tied to themselves in the call before, with both signs, over disjoint pairs."""
    made = plain.independent(rng, case).reshape(case.calls, case.rows, case.channels)
    for row, channel, sign in ((0, 1, 1), (2, 3, -1)):
        made[1::2, row, channel] = plain._tied(rng, made[::2, row, channel], case.rate, sign * size)
    return made.reshape(-1, case.channels)


def _places_of_rows(rng: Draws, case: Case, size: float) -> Any:
    """Two coins of a call are tied to the coin of their channel in the row before, with both signs."""
    made = plain.independent(rng, case).reshape(case.calls, case.rows, case.channels)
    for row, channel, sign in ((1, 1, 1), (3, 3, -1)):
        made[:, row, channel] = plain._tied(rng, made[:, row - 1, channel], case.rate, sign * size)
    return made.reshape(-1, case.channels)


def _pairs_of_calls(rng: Draws, case: Case, size: float) -> Any:
    """Two pairs of neighbouring calls are tied, with both signs."""
    made = plain.independent(rng, case).reshape(case.calls, case.rows, case.channels)
    for call, sign in ((4, 1), (10, -1)):
        made[call + 1] = plain._tied(rng, made[call], case.rate, sign * size)
    return made.reshape(-1, case.channels)


def _places_of_seeds(rng: Draws, case: Case, size: float) -> Any:
    """Two places of the calls under a seed are tied to themselves under its neighbour, with both signs."""
    made = plain.independent(rng, case).reshape(case.calls // 2, 2 * case.rows, case.channels)
    for row, channel, sign in ((1, 1, 1), (3, 3, -1)):
        made[1::2, row, channel] = plain._tied(rng, made[::2, row, channel], case.rate, sign * size)
    return made.reshape(-1, case.channels)


def _channels_of_values(which: int) -> Any:
    """Channel 2 follows a class of the input, channel 3 with the other sign."""

    def coins(rng: Draws, case: Case, size: float) -> Any:
        classes = simulated.classes_of(rng, case, case.rows * case.calls)
        shift = np.zeros(case.channels)
        shift[2], shift[3] = size / 2, -size / 2  # at rate .5
        return rng.random(classes[which].shape) < case.rate + shift * np.where(classes[which], 1, -1), classes

    return coins


def plants() -> list[plain.Plant]:
    """All of them."""
    found: list[plain.Plant] = []

    def add(check: str, words: str, case: str, coins: Any, promised: Any) -> None:
        found.append(plain.Plant(check, words, f"float32 {case}", coins, True, promised))

    long, seeds = "rate=0.5 64,33,3 calls=8", "rate=0.5 80,17,3 calls=16 seeds way=generator"
    again = "a stretch at another place of a row repeats"
    add("mask.distinct-samples", f"{again} in its call", long, _moved(lambda c: (c.rows, False)), _stretch)
    add("mask.distinct-calls", f"{again} in another call", long, _moved(lambda c: (c.rows, True)), _stretch)
    add("seed.distinct", f"{again} under another seed", seeds, _moved(lambda c: (2 * c.rows, True)), _stretch)
    for sign, word in ((1, "more"), (-1, "less")):
        add("rate.marginal", f"one call {word}", "rate=0.3 16,17,3 calls=64", _odd(sign), _call(sign))
    signs = "with both signs"
    calls, places = "rate=0.5 8,9,3 calls=128", "rate=0.5 4,5,3 calls=1000"
    by_calls, by_rows = _single(_of_calls, _pairs_of_channel(0)), _single(_of_rows, _pairs_of_channel(1))
    add("mask.independent-calls", f"channels tied {signs}", calls, _channels_of(0), by_calls)
    add("mask.independent-samples", f"channels tied {signs}", calls, _channels_of(1), by_rows)
    by_calls = _single(_of_calls, lambda case: case.calls // 2)
    add("mask.independent-calls", f"places tied {signs}", places, _places_of_calls, by_calls)
    add("mask.independent-calls", f"pairs of calls tied {signs}", "rate=0.5 16,33,3 calls=64", _pairs_of_calls, _pair)
    by_rows = _single(_of_rows, lambda case: case.calls)
    add("mask.independent-samples", f"places tied {signs}", places, _places_of_rows, by_rows)
    for which, name in enumerate(("sign", "magnitude")):
        by_values = _single(_of_values, lambda case: case.row_count)
        text = f"channels follow {name} {signs}"
        add("mask.ignores-values", text, "rate=0.5 8,9,3 calls=64 values", _channels_of_values(which), by_values)
    by_seeds = _single(_of_seeds, lambda case: case.calls // 4, 1 / 3)
    many = "rate=0.5 3,5,3 calls=2048 seeds way=generator"
    add("seed.neighbours", f"places tied {signs}", many, _places_of_seeds, by_seeds)
    return found


def _pairs_of_channel(axis: int) -> Callable[[Case], int]:
    """Pairs of coins of one channel, one call (axis 0) or row (axis 1) apart."""
    return lambda case: (
        len(lag_firsts(case.calls, 1)) * case.rows if axis == 0 else len(lag_firsts(case.rows, 1)) * case.calls
    )


def missed_call(case: Case, size: float, sign: int) -> float:
    """The probability that one call of a rate off by ``size`` is no odd call, where the usual rate is the asked one."""
    coins = case.rows * case.channels
    k = np.arange(coins + 1)
    caught = np.array([odd_log10(int(i), coins, case.rate, case.calls) <= CERTAIN for i in k])
    return float(binom.pmf(k, coins, case.rate + sign * size)[~caught].sum())
