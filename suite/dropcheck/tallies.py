"""Tallies: counts over coins that add, so that work can be split in any way and merged exactly."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck import coins as bits

Counts = NDArray[np.int64]

ROW_LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
ALL_PAIRS_UP_TO = 160  # channels; above, pairs at the strides below
STRIDES = (1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 64, 128, 256)
QUAD_STRIDES = (1, 2, 4, 8, 16)
GROUP_ROWS = 1 << 15
SAMPLE = 1 << 20  # first coins of a case, kept for repeated words and pictures
MOST_WORD_ROWS = 512  # rows of the longest word that is looked for


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


@dataclass
class Tally:
    """Counts of one case, over all its calls so far. Every field adds."""

    channels: int
    rows: int = 0
    calls: int = 0
    dropped: int = 0
    channel: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    turned_rows: int = 0
    turned_channel: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    histogram: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    pair_rows: int = 0
    pairs: dict[int, Counts] = field(default_factory=dict)
    row_lags: dict[int, Association] = field(default_factory=dict)
    call_lags: dict[int, Association] = field(default_factory=dict)
    position: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    position_calls: int = 0
    octets: Counts = field(default_factory=lambda: np.zeros((0, 256), np.int64))
    octet_rows: int = 0
    quad_rows: int = 0
    quads: dict[int, Counts] = field(default_factory=dict)
    triples: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    values: list[Association] = field(default_factory=list)

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


def tally(
    packed: bits.Bytes,
    channels: int,
    rows_per_call: int | None,
    classes: bits.Bytes | None = None,
    *,
    pairs: bool = True,
) -> Tally:
    """Count one chunk of coins.

    ``packed``: (rows, bytes), rows of successive calls in order. ``rows_per_call``: None where batches vary.
    ``classes``: (classes, rows, bytes), bits of the inputs whose influence is asked for.
    """
    result = Tally(channels)
    rows = packed.shape[0]
    result.rows = rows
    words = packed.view(np.uint64) if packed.shape[1] % 8 == 0 and packed.flags.c_contiguous else packed
    per_row = (
        np.bitwise_count(words).sum(axis=1, dtype=np.int64) if words.shape[1] > 1 else np.bitwise_count(words)[:, 0]
    )
    result.histogram = np.bincount(per_row, minlength=channels + 1).astype(np.int64)
    result.dropped = int(per_row.sum())
    turned = bits.by_channel(packed, channels)
    whole = rows // bits.WORD * bits.WORD
    rest = bits.unpack(packed[whole:], channels).sum(axis=0, dtype=np.int64)
    result.turned_rows = whole
    result.turned_channel = bits.count(turned)
    result.channel = result.turned_channel + rest
    if rows_per_call:
        result.calls = rows // rows_per_call
    if not pairs:
        return result
    if whole:
        result.row_lags = {lag: _row_lag(turned, whole, lag) for lag in ROW_LAGS if bits.lag_count(whole, lag)}
        _count_groups(result, turned, whole)
    full = channels // 8
    if full:
        # patterns of many channels need fewer rows than pairs do: a quarter of a large chunk bounds their cost
        result.octet_rows = rows if rows <= GROUP_ROWS else rows // 4
        codes = packed[: result.octet_rows, :full].astype(np.intp) + 256 * np.arange(full)
        result.octets = np.bincount(codes.ravel(), minlength=256 * full).reshape(full, 256).astype(np.int64)
    if rows_per_call:
        _count_calls(result, packed, channels, rows_per_call)
    if classes is not None:
        result.values = [_against_class(turned, bits.by_channel(c, channels), whole) for c in classes]
    return result


def _row_lag(turned: bits.Words, rows: int, lag: int) -> Association:
    first, second = bits.lag_pairs(turned, lag)
    pairs = np.full(len(turned), bits.lag_count(rows, lag), np.int64)
    return Association(pairs, bits.count(first), bits.count(second), bits.count(first & second))


def _count_groups(result: Tally, turned: bits.Words, rows: int) -> None:
    """Pairs of channels, adjacent triples, and groups of four at several strides."""
    channels = len(turned)
    strides = range(1, channels) if channels <= ALL_PAIRS_UP_TO else [s for s in STRIDES if s < channels]
    result.pair_rows = rows
    for stride in strides:
        result.pairs[stride] = bits.count(turned[:-stride] & turned[stride:])
    if channels >= 3:
        result.triples = bits.count(turned[:-2] & turned[1:-1] & turned[2:])
    some = turned if rows <= GROUP_ROWS else turned[:, : turned.shape[1] // 4]
    result.quad_rows = some.shape[1] * bits.WORD
    for stride in (*QUAD_STRIDES, channels // 4):
        if stride and 4 * stride <= channels and stride not in result.quads:
            result.quads[stride] = _quads(some, stride, result.quad_rows)


def _quads(turned: bits.Words, stride: int, rows: int) -> Counts:
    """Counts of the 16 patterns of channels c, c+s, c+2s, c+3s over disjoint groups: (groups, 16), bit i channel c+i s.

    From the counts of joint drops of every subset, by inclusion and exclusion over supersets.
    """
    channels = len(turned)
    starts = np.array([b + o for b in range(0, channels - 4 * stride + 1, 4 * stride) for o in range(stride)])
    members = [turned[starts + i * stride] for i in range(4)]
    joint: dict[int, bits.Words] = {}
    counts = np.zeros((len(starts), 16), np.int64)
    counts[:, 0] = rows
    for subset in range(1, 16):
        low = subset & -subset
        member = members[low.bit_length() - 1]
        joint[subset] = member if subset == low else joint[subset ^ low] & member
        counts[:, subset] = bits.count(joint[subset])
    for i in range(4):
        for subset in range(16):
            if not subset >> i & 1:
                counts[:, subset] -= counts[:, subset | 1 << i]
    return counts


def _count_calls(result: Tally, packed: bits.Bytes, channels: int, rows_per_call: int) -> None:
    """Calls as the unit: the drops of every position over the calls, and each call against its neighbours."""
    calls = packed.shape[0] // rows_per_call
    width = packed.shape[1]
    if calls < bits.WORD:
        return
    whole = calls // bits.WORD * bits.WORD
    flat = packed[: calls * rows_per_call].reshape(calls, rows_per_call * width)
    turned = bits.by_channel(flat, flat.shape[1] * 8)
    used = turned.reshape(rows_per_call, width * 8, -1)[:, :channels]
    result.position = bits.count(used)
    result.position_calls = whole
    for lag in (1, 2):
        first, second = bits.lag_pairs(used, lag)
        result.call_lags[lag] = Association(
            np.full(channels, bits.lag_count(whole, lag) * rows_per_call, np.int64),
            bits.count(first).sum(axis=0),
            bits.count(second).sum(axis=0),
            bits.count(first & second).sum(axis=0),
        )


def _against_class(turned: bits.Words, classes: bits.Words, rows: int) -> Association:
    return Association(
        np.full(len(turned), rows, np.int64), bits.count(turned), bits.count(classes), bits.count(turned & classes)
    )


@dataclass
class Repeats:
    """Words of coins that occur twice in a stream: their number, and where the first few stand (call, row in the call)."""

    words: int
    length: int
    repeats: int
    places: list[tuple[int, int]]
    within_call: int
    across_calls: int


def hashes(packed: bits.Bytes, rows_per_word: int) -> NDArray[np.uint64]:
    """A 64-bit hash of the coins of ``rows_per_word`` successive rows, at every row."""
    rows, width = packed.shape
    padded = np.zeros((rows, -(-width // 8) * 8), np.uint8)
    padded[:, :width] = packed
    words = padded.view(np.uint64)
    rng = np.random.default_rng(0x0DD)
    weights = rng.integers(0, 2**63, size=words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    row = ((words ^ (words >> np.uint64(31))) * weights).sum(axis=1, dtype=np.uint64)
    row ^= row >> np.uint64(29)
    row *= np.uint64(0xBF58476D1CE4E5B9)
    row ^= row >> np.uint64(32)
    total = row[: rows - rows_per_word + 1].copy()
    for i in range(1, rows_per_word):
        total = (total * np.uint64(0x9E3779B97F4A7C15)) ^ row[i : rows - rows_per_word + 1 + i]
    return np.asarray(total)


def repeats(packed: bits.Bytes, rows_per_word: int, channels: int, call_of_row: NDArray[np.int64]) -> Repeats:
    """Equal words at every row offset, verified bit by bit (equal hashes alone would prove nothing at 10^-9)."""
    rows = packed.shape[0]
    if rows < rows_per_word + 1:
        return Repeats(0, rows_per_word * channels, 0, [], 0, 0)
    keys = hashes(packed, rows_per_word)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    places: list[tuple[int, int]] = []
    within = across = 0
    for i in same[:4096]:
        one, two = int(order[i]), int(order[i + 1])
        if abs(one - two) < rows_per_word and channels > 1:
            pass  # overlapping words of several channels can repeat only if the coins do
        if np.array_equal(packed[one : one + rows_per_word], packed[two : two + rows_per_word]):
            places.append((min(one, two), max(one, two)))
            if call_of_row[one] == call_of_row[two]:
                within += 1
            else:
                across += 1
    total = len(places) if len(same) <= 4096 else len(same)
    return Repeats(len(keys), rows_per_word * channels, total, places[:64], within, across)
