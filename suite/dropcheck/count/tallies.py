"""Tallies: counts over coins that add, so that work can be split and merged exactly.

Which splits are exact. All counts of single rows (rates, histogram, pairs, triples, patterns) and all lags of rows within a
call are the same for any split at whole calls. Pairs of calls are formed inside blocks of calls: calls ``lag`` apart pair
inside blocks of 2 x lag calls, so that a split at multiples of 64 calls is exact for all of them, and a split at multiples
of 2^m calls for the lags below 2^m. Where batches vary there are only counts of single rows, and any split at rows is exact.
``start`` (rows of the case before the chunk) tells which rows the thinned statistics look at; see ``thinned_rows``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.count import coins as bits

Counts = NDArray[np.int64]

ROW_LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CALL_LAGS = (1, 2, 4, 8, 16, 32)
ALL_PAIRS_UP_TO = 160  # channels; above, pairs at the strides below on all rows, and all pairs on thinned rows
FAR_PAIRS_UP_TO = 1100  # channels; above, there are too many pairs to keep
STRIDES = (1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 64, 128, 256)
GROUP_STRIDES = (1, 2, 4, 8, 16, 32)  # of triples, quads and octets; C / 8 and C / 4 are added where they fit
FULL_ROWS = 1 << 15  # rows of a case on which thinned statistics are counted in full
THINNING = 8  # behind them, one block of calls in so many
BLOCK = 64  # calls of a block
VARYING_BLOCK = 4096  # rows of a block where batches vary
PLACES = 1 << 14  # coins of a call up to which neighbours are counted at every place: larger calls are too few to tell
SAMPLE = 1 << 20  # first coins of a case, kept for repeated words and pictures


@dataclass
class Association:
    """2 x 2 tables of pairs of coins, one a channel: pairs, first dropped, second dropped, both dropped."""

    pairs: Counts
    first: Counts
    second: Counts
    both: Counts

    def __add__(self, other: Association) -> Association:
        return Association(
            self.pairs + other.pairs, self.first + other.first, self.second + other.second, self.both + other.both
        )


def _none() -> Counts:
    return np.zeros(0, np.int64)


@dataclass
class Tally:
    """Counts of one case, over all its calls so far. Every field adds.

    ``pairs`` and ``triples``: stride -> joint drops of channels c, c + s(, c + 2 s), over all rows. ``far``: joint drops of
    all pairs of channels on thinned rows, ordered by stride (``far_of``), with ``far_channel`` the margins there. ``quads``,
    ``octets``: stride -> (groups, 2^k) patterns. ``position``: (rows of a call, channels). ``row_both``: lag -> joint drops of
    rows of one call. ``call_shifts``: row shift d -> row r of a call against row r + d of the next.
    ``call_places``, ``row_places``: see ``counting.count_places``. ``value_places``, ``value_calls``: see ``count_value_places``.
    ``seed_shifts``, ``seed_bits``, ``seed_places``: see ``counting.count_seeds``. ``without``: rows of a call that were left
    out; see ``positions.live``.
    """

    channels: int
    rows: int = 0
    calls: int = 0
    dropped: int = 0
    channel: Counts = field(default_factory=_none)
    histogram: Counts = field(default_factory=_none)
    pair_rows: int = 0
    pairs: dict[int, Counts] = field(default_factory=dict)
    far_rows: int = 0
    far: Counts = field(default_factory=_none)
    far_channel: Counts = field(default_factory=_none)
    triples: dict[int, Counts] = field(default_factory=dict)
    quads: dict[int, Counts] = field(default_factory=dict)
    octets: dict[int, Counts] = field(default_factory=dict)
    octet_rows: dict[int, int] = field(default_factory=dict)
    row_both: dict[int, Counts] = field(default_factory=dict)
    call_lags: dict[int, Association] = field(default_factory=dict)
    call_shifts: dict[int, Association] = field(default_factory=dict)
    call_places: dict[int, Association] = field(default_factory=dict)
    row_places: Counts = field(default_factory=_none)
    position: Counts = field(default_factory=_none)
    position_calls: int = 0
    seed_shifts: dict[str, Association] = field(default_factory=dict)
    seed_bits: dict[int, Association] = field(default_factory=dict)
    seed_places: dict[str, Association] = field(default_factory=dict)
    values: list[Association] = field(default_factory=list)
    value_places: Counts = field(default_factory=_none)
    value_calls: Counts = field(default_factory=_none)
    without: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def coins(self) -> int:
        """Coins that were counted."""
        return self.rows * self.channels

    @property
    def row_lags(self) -> dict[int, Association]:
        """Tables of rows of one call that are a lag apart; their margins are sums over positions."""
        found = {}
        for lag, both in self.row_both.items():
            first = bits.lag_firsts(len(self.position), lag)
            if self.without.any():
                gone = self.without[first] | self.without[first + lag]
                # a row that never drops is in no joint drop, one that always drops in all drops of its partner
                out, first = first[gone], first[~gone]
                both = both - np.minimum(self.position[out], self.position[out + lag]).sum(axis=0)
            pairs = np.full(self.channels, len(first) * self.position_calls, np.int64)
            one, two = self.position[first].sum(axis=0), self.position[first + lag].sum(axis=0)
            found[lag] = Association(pairs, one, two, both)
        return found

    def far_of(self, stride: int) -> Counts:
        """Joint drops of channels c and c + stride on the thinned rows: (channels - stride,)."""
        start = (stride - 1) * self.channels - stride * (stride - 1) // 2
        return self.far[start : start + self.channels - stride]

    def sums(self) -> Tally:
        """The counts of coins, channels and rows alone: the others of many cases, or of many units, would fill the memory."""
        return Tally(
            self.channels,
            rows=self.rows,
            calls=self.calls,
            dropped=self.dropped,
            channel=self.channel,
            histogram=self.histogram,
        )

    def merge(self, other: Tally) -> Tally:
        """The sum of two tallies of the same case."""
        if not self.rows:
            return other
        if not other.rows:
            return self
        merged = Tally(self.channels)
        for item in fields(self):
            if item.name == "channels":
                continue
            setattr(merged, item.name, _sum(getattr(self, item.name), getattr(other, item.name)))
        return merged


def _sum(a: Any, b: Any) -> Any:
    if isinstance(a, dict):
        return {k: _sum(a[k], b[k]) if k in a and k in b else a.get(k, b.get(k)) for k in {**a, **b}}
    if isinstance(a, list):
        return [_sum(x, y) for x, y in zip(a, b, strict=True)] if a and b else a or b
    if isinstance(a, np.ndarray) and a.shape != b.shape:
        return a if a.size else b
    return a + b


def group_strides(channels: int, size: int) -> list[int]:
    """Strides at which groups of ``size`` channels c, c + s, ... fit."""
    strides = {*GROUP_STRIDES, channels // size if size > 3 else 1, channels // 8}
    return sorted(s for s in strides if s and size * s <= channels)


def group_starts(channels: int, stride: int, size: int) -> NDArray[np.intp]:
    """First channels of disjoint groups c, c + s, ..., ``size`` of them."""
    blocks = np.arange(0, channels - size * stride + 1, size * stride)
    return np.asarray((blocks[:, None] + np.arange(stride)).ravel())


def pair_strides(channels: int) -> list[int]:
    """Strides of the pairs that are counted on all rows."""
    return list(range(1, channels)) if channels <= ALL_PAIRS_UP_TO else [s for s in STRIDES if s < channels]


def _thin(block: Any, rows_of_block: int) -> Any:
    """Whether thinned statistics look at blocks, by their number in the case."""
    return (block * rows_of_block < FULL_ROWS) | (block % THINNING == 0)


def thinned_rows(rows: int, rows_per_call: int | None) -> int:
    """How many rows of a case thinned statistics look at: a pure function of its size, whatever the split."""
    size = BLOCK * rows_per_call if rows_per_call else VARYING_BLOCK
    chosen = _thin(np.arange(-(-rows // size)), size)
    return int(np.minimum(rows - np.flatnonzero(chosen) * size, size).sum())


@dataclass
class Arranged:
    """Coins with one word for 64 rows of one channel, in one of three orders.

    ``words``: (channels, calls, words of a call), bit i of word w is row 64 w + i of the call, where calls have 64 rows or
    more; (channels, rows of a call, words of calls), bit i is call 64 w + i, where they have fewer (``short``);
    (channels, 1, words of rows) where batches vary.
    """

    words: bits.Words
    short: bool


def arrange(packed: bits.Bytes, channels: int, rows_per_call: int | None, start: int = 0) -> Arranged:
    """Turn (rows, bytes) into words; bits behind the last row of a call, or the last call, are 0.

    Where batches vary, words begin at multiples of 64 rows of the case, whatever row ``start`` the chunk begins with.
    """
    rows, width = packed.shape
    if not rows_per_call:
        if start % bits.WORD:
            packed = np.concatenate([np.zeros((start % bits.WORD, width), np.uint8), packed])
        return Arranged(bits.by_channel(packed, channels)[:, None, :], False)
    calls = rows // rows_per_call
    if rows_per_call < bits.WORD:
        flat = packed.reshape(calls, rows_per_call * width)
        turned = bits.by_channel(flat, flat.shape[1] * 8).reshape(rows_per_call, width * 8, -1)
        return Arranged(np.ascontiguousarray(turned[:, :channels].transpose(1, 0, 2)), True)
    length = -(-rows_per_call // bits.WORD)
    if rows_per_call % bits.WORD:
        padded = np.zeros((calls, length * bits.WORD, width), np.uint8)
        padded[:, :rows_per_call] = packed.reshape(calls, rows_per_call, width)
        packed = padded.reshape(-1, width)
    return Arranged(bits.by_channel(packed, channels).reshape(channels, calls, length), False)
