"""Copies that hold whatever else is wrong: equal rows of a call, equal calls, calls with a rate of their own; and distinct coins.

Words (see ``repeated_words``) tell copies from chance by the independence of their coins. Where that is what is broken,
equality must be judged without it: over calls, which are replicates of one position whatever their coins do inside. All here
looks at the first coins of a case alone; a right layer pays for ``odd_calls``, the others are asked where something repeats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.count.coins import Bytes, unpack
from dropcheck.count.counting import tally
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import place_of
from dropcheck.count.row_rates import cycle
from dropcheck.statistics.binomial import log10_two_sided, log10_two_sided_many

# log10 of the chance of what is said here, over all pairs, lags and calls of a case: as far below a share of 10^-6 as exact
# questions are, so that it takes nothing from the share of any check.
CERTAIN = -15.0
MOST_CALLS = 8192  # calls that are compared with each other at every lag
PAIRS = 4096  # pairs of words that the spread of their agreement is measured on
# The spread of the agreement of 4096 independent pairs is off by 2.2 % (one standard deviation): six of them.
USUAL_SPREAD = 1.14


@dataclass(frozen=True)
class OddCalls:
    """Calls with a rate of their own: their numbers, their rate and that of all others, and log10 of the chance of any.

    ``worst``: the dropped coins of the most extreme call, of ``coins`` in a call, where ``usual`` is the median rate.
    """

    calls: NDArray[np.int64]
    rate: float
    rest: float
    seen: int
    log10_p: float
    worst: int
    coins: int
    usual: float

    @property
    def words(self) -> str:
        """What is wrong, with numbers."""
        count = len(self.calls)
        if count == 1:
            who = f"call {self.calls[0]} of {self.seen}"
        elif count == self.calls[-1] - self.calls[0] + 1:
            who = f"calls {self.calls[0]} to {self.calls[-1]} of {self.seen}"
        else:
            who = f"{count} of {self.seen} calls (the first is call {self.calls[0]})"
        verb = ("drops" if count == 1 else "drop") + (
            " nothing" if self.rate == 0 else " everything" if self.rate == 1 else f" with probability {self.rate:.3g}"
        )
        return f"{who} {verb}, the other calls drop with probability {self.rest:.3g}"


def rows_alike(got: Gathered, sure: bool = True) -> NDArray[np.int64] | None:
    """For each row of a call the first row that is equal to it in every one of the first calls; None: no two are, beyond chance.

    The chance is that of one channel over the calls, so that nothing is assumed of the coins of one row: if two rows are
    independent of each other, and calls of calls, at most pairs x (p^2 + q^2)^calls; or that of so few words in all rows.
    Not ``sure``: whatever the chance.
    """
    calls = calls_of(got)
    if calls is None or calls.shape[1] < 2 or not _any_alike(calls[:64]):
        return None
    calls = np.unique(calls, axis=0)  # equal calls are one replicate
    by_row = np.ascontiguousarray(calls.transpose(1, 0, 2)).reshape(calls.shape[1], -1)
    _, first, of = np.unique(by_row, axis=0, return_index=True, return_inverse=True)
    label = np.asarray(first[of.ravel()], np.int64)
    # rows that never change are alike by their rate, not by a coin that was used twice
    still = (calls == calls[:1]).all(axis=(0, 2))
    if got.positions is not None and got.case.regime != "seeds":
        still |= got.positions.own
    label[still] = np.flatnonzero(still)
    pairs = len(label) * (len(label) - 1) / 2
    if (label == np.arange(len(label))).all():
        return None
    # where calls are a coin or two each there are few different ones: what tells then is that all rows show so few words
    rate, rows = got.tally.dropped / max(1, got.tally.coins), int((~still).sum())
    # a row that was left out for never changing is none of these: so much likelier is each word of the others
    unchanged = (rate ** len(calls) + (1 - rate) ** len(calls)) ** got.tally.channels
    seen = len(np.unique(label[~still]))
    few = log10_few_words(seen, rows, rate, len(calls) * got.tally.channels, unchanged) if rows else 0.0
    return None if sure and min(few, math.log10(pairs) + len(calls) * agreement(got)) > CERTAIN else label


def rows_alike_apart(got: Gathered) -> tuple[int, int, float] | None:
    """(lag, pairs, log10 of the chance): all samples of a call so far apart are equal, in all calls; None: they are not.

    Of pairs of samples without a common one each agrees by chance as often as one coin of them, whatever the coins of a sample
    do among each other. All lags share the bound.
    """
    found = []
    lags = got.live.row_lags if got.case.calls > 1 else {}  # one call is told by its words
    for lag, table in lags.items():
        pairs = int(table.pairs.min()) if len(table.pairs) else 0
        same = (table.first == table.both).all() and (table.second == table.both).all()
        if same and pairs and 0 < int(table.both.sum()) < int(table.pairs.sum()):
            found.append((lag, pairs, min(0.0, pairs * agreement(got) + math.log10(len(lags)))))
    best = min(found, key=lambda one: one[2], default=None)
    return best if best is not None and best[2] <= CERTAIN else None


def log10_few_words(seen: int, rows: int, p: float, coins: int, without: float = 0.0) -> float:
    """log10 of a bound of the chance that ``rows`` independent rows of ``coins`` coins show only ``seen`` different words.

    All rows then lie in one of the sets of ``seen`` words: at most 2^(coins x seen) sets, each hit by a row with probability
    at most seen x max(p, q)^coins. ``without``: the share of rows that are none of them, by what they show.
    """
    if without >= 1:
        return 0.0
    hit = math.log10(seen) + coins * math.log10(max(p, 1 - p)) - math.log10(1 - without)
    return min(0.0, coins * seen * math.log10(2) + rows * hit) if hit < 0 else 0.0


def _any_alike(calls: Bytes) -> bool:
    """Whether any two rows are equal in all of these calls."""
    by_row = np.ascontiguousarray(calls.transpose(1, 0, 2)).reshape(calls.shape[1], -1)
    one = np.sort(by_row.view(np.dtype((np.void, by_row.shape[1]))).ravel())
    return bool((one[1:] == one[:-1]).any())


def calls_of(got: Gathered) -> Bytes | None:
    """The first coins as (calls, rows of a call, bytes); None where batches vary or there are no two calls."""
    if got.sample is None or got.case.batches or len(got.sample) < 2 * got.case.rows:
        return None
    size = got.case.rows
    return got.sample[: len(got.sample) // size * size].reshape(-1, size, got.sample.shape[1])


def agreement(got: Gathered, inverted: bool = False) -> float:
    """log10 of the chance that a coin of two calls agrees, or ``inverted`` differs: at the likelier of measured and asked rate."""
    rates = np.array([got.case.rate, got.tally.dropped / max(1, got.tally.coins)])
    chance = 2 * rates * (1 - rates) if inverted else rates**2 + (1 - rates) ** 2
    return float(np.log10(max(chance.max(), 1e-300)))


def _calls_of_a_size(got: Gathered) -> list[Bytes]:
    """The first coins as (calls, rows of a call, bytes), where batches vary once for each place in their turn."""
    calls, batches = calls_of(got), got.case.batches
    if calls is not None or got.sample is None or not batches:
        return [] if calls is None else [calls]
    turn, width = sum(batches), got.sample.shape[1]
    turns = got.sample[: len(got.sample) // turn * turn].reshape(-1, turn, width)
    ends = np.cumsum(batches)
    return [turns[:, end - batch : end] for batch, end in zip(batches, ends, strict=True)]


def calls_alike(got: Gathered, coins: float = 1.0) -> tuple[int, int, int, float] | None:
    """(lag, equal pairs, pairs, log10 of the chance): calls a lag apart are equal as a whole too often; None: they are not.

    Whole calls are equal or not under any pattern. If calls are independent of each other, two are equal at most as often as
    one coin of them, whatever the coins of a call do among each other: the number of equal ones of disjoint pairs is at most
    binomial, times the lags that are looked at. ``coins``: as many independent coins as a row of a call is worth; with its
    channels divided by the measured ``spread``, short cases tell, too. Where batches vary, calls of one size are compared, times
    the sizes.
    """
    agree = 10 ** (agreement(got) * max(1.0, coins))
    best: tuple[int, int, int, float] | None = None
    kinds = _calls_of_a_size(got)
    for found in kinds:
        if len(found) < 4:
            continue
        calls = min(len(found), MOST_CALLS)
        code = np.unique(found[:calls].reshape(calls, -1), axis=0, return_inverse=True)[1].ravel()
        if code.max() == calls - 1:
            continue
        lags = calls // 2
        for lag in range(1, lags + 1):
            index = np.arange(calls - lag)
            first = index[(index // lag) % 2 == 0]
            equal = int((code[first] == code[first + lag]).sum())
            if equal > agree * len(first):
                log = float(log10_two_sided_many(equal, len(first), agree)) + math.log10(lags * len(kinds))
                if log <= CERTAIN and (best is None or log < best[3]):
                    best = lag * len(kinds), equal, len(first), log
    return best


def odd_calls(got: Gathered) -> OddCalls | None:
    """Calls of the first coins that have a rate of their own, where all others have one rate; None: no call has.

    Exact binomial tails against the median rate of the calls or the rate that was asked for (whichever fewer calls are off),
    and against the rate of all others, Bonferroni over calls. Coins of one call count as independent: what depends within a
    call spreads its rate, too, so that calls of either kind may vary twice as much as independent coins, and no more.
    Batches may vary.
    """
    if got.sample is None or got.case.regime != "stream":
        return None
    call_of_row = place_of(got.case, np.arange(len(got.sample)))[0]
    rows = np.bincount(call_of_row)
    calls = len(rows)  # the last one may be cut
    if calls < 4:
        return None
    of_row = np.bitwise_count(got.sample).sum(axis=1, dtype=np.int64)
    ones = np.bincount(call_of_row, weights=of_row).astype(np.int64)
    coins = rows * got.tally.channels
    # what came after the first coins, as one: whether they are usual shows only there if all first calls have one rate
    later = int(got.tally.dropped - ones.sum()), int(got.tally.coins - coins.sum())
    best: OddCalls | None = None
    for usual in (float(np.median(ones / coins)), got.case.rate):
        if not 0 < usual < 1:
            continue
        logs = log10_two_sided_many(ones, coins, usual) + math.log10(calls)
        odd = logs <= CERTAIN
        if not odd.any() or not (_steady(ones[~odd], coins[~odd]) and _steady(ones[odd], coins[odd])):
            continue
        theirs = float(ones[odd].sum() / coins[odd].sum())
        dropped, others = int(ones[~odd].sum()) + later[0], int(coins[~odd].sum()) + later[1]
        if not others or log10_two_sided(dropped, others, theirs) > CERTAIN:
            continue  # short calls do not stand out, and still have the rate of the long ones
        worst = int(logs.argmin())
        if odd_log10(int(ones[worst]), int(coins[worst]), dropped / others, calls) > CERTAIN:
            continue  # no call has the rate that was asked for, and beside the others this one is usual
        if best is None or odd.sum() < len(best.calls):
            best = OddCalls(
                np.flatnonzero(odd),
                theirs,
                dropped / others,
                calls,
                odd_log10(int(ones[worst]), int(coins[worst]), usual, calls),
                int(ones[worst]),
                int(coins[worst]),
                usual,
            )
    return best


def _steady(ones: NDArray[np.int64], coins: NDArray[np.int64]) -> bool:
    """Whether these calls vary about as calls of independent coins with one rate."""
    rate = float(ones.sum() / coins.sum()) if len(ones) else 0.0
    if not 0 < rate < 1:
        return True
    spread = (ones - coins * rate) ** 2 / (coins * rate * (1 - rate))
    return float(spread.mean()) <= 2 + 8 / math.sqrt(len(ones))


def odd_log10(dropped: int, coins: int, usual: float, calls: int) -> float:
    """log10 of the chance that any of ``calls`` calls drops a number of its ``coins`` as far from the usual rate as this."""
    return min(0.0, float(log10_two_sided(dropped, coins, usual)) + math.log10(calls))


def spread(got: Gathered, rows_per_word: int) -> float:
    """How much more the agreement of two words varies than that of independent coins; 1 where that is no more than chance.

    Unequal words of different calls and of different places in a call, which no copy of a call or a sample ties to each other: what
    spreads their agreement is dependence of the coins inside of a word. A word of n coins then tells about as
    much as n / spread independent ones (exactly so for coins that come in groups of equal ones).
    """
    if got.sample is None:
        return 1.0
    words = len(got.sample) - rows_per_word + 1
    if words < 4 * rows_per_word:
        return 1.0
    rng = np.random.default_rng(words)
    one, two = rng.integers(0, words, (2, 8 * PAIRS))
    (call_one, row_one), (call_two, row_two) = place_of(got.case, one), place_of(got.case, two)
    apart = (call_one != call_two) & (np.abs(one - two) >= rows_per_word)
    if got.case.rows > 1:
        apart &= row_one != row_two
    one, two = one[apart][:PAIRS], two[apart][:PAIRS]
    if len(one) < PAIRS // 8:
        return 1.0
    differ = np.zeros(len(one))
    for row in range(rows_per_word):
        differ += np.bitwise_count(got.sample[one + row] ^ got.sample[two + row]).sum(axis=1)
    coins = rows_per_word * got.tally.channels
    differ = differ[differ > 0]  # equal words are what is asked about
    if not len(differ):
        return 1.0
    mean = float(differ.mean()) / coins
    if not 0 < mean < 1:
        return float(coins)
    usual = coins * mean * (1 - mean)
    ratio = float(differ.var()) / usual
    allowed = 1 + (USUAL_SPREAD - 1) * math.sqrt(PAIRS / len(one)) * (1 + 1 / max(usual, 0.1))
    return min(float(coins), ratio) if ratio > allowed else 1.0


def distinct(got: Gathered, channels: NDArray[np.int64] | None = None, rows: Any = None) -> Gathered:
    """The first coins without copies: one of each group of ``rows`` of a call that are always alike, and the ``channels`` given.

    Counted anew, so that copies of one coin count once. ``rows``: from ``rows_alike``.
    """
    assert got.sample is not None
    case, sample = got.case, got.sample
    if rows is not None:
        calls = calls_of(got)
        assert calls is not None
        keep = rows == np.arange(case.rows)
        sample = calls[:, keep].reshape(-1, sample.shape[1])
        case = replace(case, rows=int(keep.sum()))
    if channels is not None:
        coins = unpack(sample, case.channels)[:, channels]
        sample = np.packbits(coins, axis=1, bitorder="little")
        case = replace(case, channels=len(channels))
    per_call = cycle(case)
    sample = np.ascontiguousarray(sample[: len(sample) // per_call * per_call])
    seeds = got.seeds[: len(sample) // per_call] if got.seeds is not None else None
    each = 2 if case.regime == "seeds" else max(1, len(case.batches))
    case = replace(case, calls=each * (len(sample) // per_call))
    counts = tally(sample, case.channels, None if case.batches else per_call, seeds=seeds)
    return type(got)(case, got.contract, counts, got.proof, sample, seeds=seeds)
