"""The rows of a call by their own rates: rows that hardly ever differ from each other say nothing about copies or dependence.

A row that never drops looks like a copy of itself in every call, and makes calls look dependent, without any coin being used
twice: what is wrong with it is its rate. So repeats are held against the rates of their rows, and rows that always fell alike
are left out of what dependence is counted from. Channels are held against their own rates where they are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.cases import Case
from dropcheck.count.coins import Bytes, unpack
from dropcheck.count.counting import tally as count
from dropcheck.count.tallies import Association, Counts, Tally

# Chance that a right layer has a row that is taken to have a rate of its own, over all rows of a case: exact powers of the
# rate of the other rows, Bonferroni over rows.
OWN = 1e-6
POOR = 0.5  # a row is held against its own rate where it tells less than this share of what other rows tell


@dataclass(frozen=True)
class Positions:
    """Rates of the rows of a call, or of a round of calls where batches vary, averaged over channels and calls.

    ``rates``: (positions,). ``own``: which of them are held against their own rate. ``agree``: log10 of the chance that two
    other rows agree, at the rates that the channels have there; ``rate``: the mean of those.
    """

    rates: NDArray[np.float64]
    own: NDArray[np.bool_]
    channels: int
    agree: float
    rate: float

    def log10_agree(self, first: NDArray[np.int64], second: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
        """log10 of the chance that independent words of ``rows`` rows that begin at these positions agree: (words,)."""
        size = len(self.rates)
        total = np.zeros(len(first))
        for row in range(rows):
            one, two = (first + row) % size, (second + row) % size
            a, b = (np.where(self.own[i], self.rates[i], self.rate) for i in (one, two))
            both = self.channels * np.log10(np.maximum(a * b + (1 - a) * (1 - b), 1e-300))
            # unequal channels agree more often than their mean says: the likelier of the two models
            total += np.where(self.own[one] | self.own[two], np.maximum(both, self.agree), self.agree)
        return total

    def ordinary(self, first: NDArray[np.int64], second: NDArray[np.int64], rows: int) -> NDArray[np.bool_]:
        """Words that hold no row with a rate of its own: (words,)."""
        size, places = len(self.rates), np.arange(rows)
        touches = np.zeros(size, bool)
        for row in places % size:
            touches |= np.roll(self.own, -row)
        return np.asarray(~(touches[first] | touches[second]))


def cycle(case: Case) -> int:
    """Rows after which the positions of a stream begin again; in the regime ``seeds`` a seed's two calls are one."""
    return sum(case.batches) if case.batches else 2 * case.rows if case.regime == "seeds" else case.rows


def positions_of(case: Case, tally: Tally, sample: Bytes | None) -> Positions | None:
    """The rates of a case's rows; where batches vary, those of the first coins. None: nothing was counted by position."""
    size = cycle(case)
    if len(tally.position):
        drops, calls = tally.position, np.full(size, tally.position_calls)
    elif sample is not None and len(sample):
        drops, calls = _by_position(sample, tally.channels, size)
    else:
        return None
    if len(drops) != size or not calls.any():
        return None
    return _positions(drops, calls, tally.channels)


def _by_position(sample: Bytes, channels: int, size: int) -> tuple[Counts, Counts]:
    turns, rest = divmod(len(sample), size)
    coins = unpack(sample, channels)
    drops = coins[: turns * size].reshape(turns, size, channels).sum(axis=0, dtype=np.int64)
    calls = np.full(size, turns)
    drops[:rest] += coins[turns * size :]
    calls[:rest] += 1
    return drops, calls


def _positions(drops: Counts, calls: Counts, channels: int) -> Positions:
    coins = calls * channels
    dropped = drops.sum(axis=1)
    rates = dropped / np.maximum(coins, 1)
    own = _own(dropped, coins)
    live = ~own
    seen = max(1, int(calls[live].sum()))
    by_channel = drops[live].sum(axis=0) / seen
    agree = float(np.log10(np.maximum(by_channel**2 + (1 - by_channel) ** 2, 1e-300)).sum())
    return Positions(rates, own, channels, agree, float(by_channel.mean()))


def _own(dropped: Counts, coins: Counts) -> NDArray[np.bool_]:
    """Rows that tell little by a rate of their own: significantly, and all of them to one side.

    The rate of the other rows is that of the rows that tell much, or of all that fell both ways: were it small by itself, its
    rows without a drop would not be significant. Rows to both sides are what a mask that stays the same makes of few
    channels: its coins look like rates of 0 and 1, and nothing is put down to rates.
    """
    rates = dropped / np.maximum(coins, 1)
    none = np.zeros(len(rates), bool)
    mixed = (dropped > 0) & (dropped < coins)
    if not mixed.any():
        return none
    told = -np.log10(np.maximum(rates**2 + (1 - rates) ** 2, 1e-300))
    usual = mixed & (told >= POOR * float(told.max()))
    rate = float(dropped[usual].sum() / coins[usual].sum())
    low, high = _tails(dropped, coins, rate)
    least = np.log10(OWN / len(rates) / 2)
    poor = told < POOR * -np.log10(rate**2 + (1 - rate) ** 2)
    below, above = poor & (rates < rate) & (low <= least), poor & (rates > rate) & (high <= least)
    return none if below.any() and above.any() else below | above


def _tails(dropped: Counts, coins: Counts, rate: float) -> tuple[Any, Any]:
    """log10 of the chances of at most, and at least, so many drops: Chernoff's bound, exact for none and for all."""
    share = np.clip(dropped / np.maximum(coins, 1), 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(share < 1, (1 - share) * np.log10((1 - share) / (1 - rate)), 0.0)
        gone = np.where(share > 0, share * np.log10(share / rate), 0.0)
    bound = -coins * (kept + gone)
    return np.where(share < rate, bound, 0.0), np.where(share > rate, bound, 0.0)


# --- tallies without the rows that always fell alike ---------------------------------------------------------------------


def live(tally: Tally, positions: Positions | None, sample: Bytes | None) -> Tally:
    """The counts of the rows that fell both ways, exactly: a row that never dropped adds to no count but that of rows.

    What cannot be counted without them is left out: neighbouring calls shifted against each other, and shifted calls of
    neighbouring seeds where only one of the two is such a row. ``position`` stays as it is. Where batches vary, the first
    coins are counted again. The tally itself where there is no such row.
    """
    if positions is None or not positions.own.any():
        return tally
    if not len(tally.position):
        if sample is None:
            return tally
        kept = ~positions.own[np.arange(len(sample)) % len(positions.own)]
        return count(sample[kept], tally.channels, None)
    still = positions.own & ((positions.rates == 0) | (positions.rates == 1))
    gone = int(still.sum())
    if not gone:
        return tally
    size, drops = len(still), bool(positions.rates[still][0] == 1)

    def rows(whole: int) -> int:
        return whole - whole // size * gone

    def less(counts: Counts, whole: int) -> Counts:
        """Counts of joint drops: an always dropped row is in every one of them."""
        return counts - whole // size * gone if drops and counts.size else counts

    def patterns(counts: Counts, whole: int) -> Counts:
        counts = counts.copy()
        counts[:, -1 if drops else 0] -= whole // size * gone
        return counts

    def table(one: Association, share: NDArray[np.bool_] = still) -> Association:
        out = one.pairs // len(share) * int(share.sum())
        taken = out if drops else np.zeros_like(out)
        return Association(one.pairs - out, one.first - taken, one.second - taken, one.both - taken)

    whole, half = tally.rows, size // 2
    histogram = tally.histogram.copy()
    histogram[-1 if drops else 0] -= whole // size * gone
    alike = bool((still[:half] == still[half : 2 * half]).all())
    return replace(
        tally,
        rows=rows(whole),
        dropped=tally.dropped - (whole // size * gone * tally.channels if drops else 0),
        channel=less(tally.channel, whole),
        histogram=histogram,
        pair_rows=rows(tally.pair_rows),
        pairs={s: less(c, tally.pair_rows) for s, c in tally.pairs.items()},
        far_rows=rows(tally.far_rows),
        far=less(tally.far, tally.far_rows),
        far_channel=less(tally.far_channel, tally.far_rows),
        triples={s: less(c, tally.pair_rows) for s, c in tally.triples.items()},
        quads={s: patterns(c, tally.pair_rows) for s, c in tally.quads.items()},
        octets={s: patterns(c, tally.octet_rows[s]) for s, c in tally.octets.items()},
        octet_rows={s: rows(n) for s, n in tally.octet_rows.items()},
        without=still,
        call_lags={lag: table(t) for lag, t in tally.call_lags.items()},
        call_shifts={},
        seed_shifts={name: table(t, still[:half]) for name, t in tally.seed_shifts.items()} if alike else {},
        seed_bits={bit: table(t) for bit, t in tally.seed_bits.items()},
    )
