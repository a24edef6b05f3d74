"""Repeated words of coins: a search that sees every word of a few coins, and a bottom-k sample of the words of a long stream.

A word is the coins of some successive rows of a stream, at every row offset. A sample keeps the k words whose keys are
smallest. A key is made of the word's first coins alone, so both copies of a repeated word are in the sample or neither, and
the sample is the same however the stream is cut into chunks. Each word kept is two 64-bit hashes and its row, 32 bytes with its
key: memory is flat. Two words of independent coins that differ share both hashes with probability about 2^-128, which a
union bound over all 2^33 pairs of a sample leaves far below any share of 10^-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.cases import Case
from dropcheck.count import compiled
from dropcheck.count.coins import Bytes, Words
from dropcheck.count.row_rates import Positions, cycle

SAMPLED = 1 << 16  # words kept of one stream
SEEDED = 1 << 18  # words kept of a stream of many seeds: all of them, up to the plan of deep
MOST_WORD_ROWS = 512  # rows of the longest word that is looked for
# Chance repeats among all words of a case: half of the smallest share of one case of mask.distinct-* and seed.distinct
# (10^-6 x .03 / 768, deep), so that words are a function of the case alone; the other half belongs to the first coins.
# A test holds it against the shares.
WORD_ALPHA = 1e-6 * 0.03 / 768 / 2
LEAST_COINS = 30  # of a word that says something by itself: no shorter one is beyond chance
RESERVE = 0.97  # of a word's coins: the measured rates, not the nominal ones, set the final chance
_BLOCK = 1 << 16  # rows whose keys are made at once
_SCRAMBLE = {2: (0x5DA3, 0x9E4D), 8: (0xA0761D6478BD642F, 0x9E3779B97F4A7C15)}  # bytes of a key -> (xor, odd factor)
LAST = 0xD6E8FEB86659FD93
HASHES = ((0x8BB84B93962EACC9, 0xBF58476D1CE4E5B9, 32), (0x2D358DCCAA6C78A5, 0x94D049BB133111EB, 29))


@dataclass
class Repeats:
    """Words of coins that occur twice in a stream: their number, and the rows where the first few stand."""

    words: int
    length: int
    repeats: int
    places: list[tuple[int, int]]
    within_call: int
    across_calls: int


@dataclass
class Lookup:
    """What a sample of the words of a whole stream, or of all streams of a case, showed.

    ``words``: words of the streams; ``kept``: how many of them were compared with each other; ``rows``: of one word.
    ``pairs``: pairs of words of one stream, whether kept or not. ``within``, ``across``: words that repeat a word that begins
    in the same call, or in an earlier one, without overlapping it; ``places``: rows of the case at which the first of each kind
    begins and began before, or nothing. ``kinds``: (kinds, 6) the repeats by the positions in a call of both words, within a call
    or not, with their number and the rows of the first.
    """

    words: int
    kept: int
    rows: int
    pairs: float
    within: int = 0
    across: int = 0
    places: tuple[tuple[int, ...], ...] = ((), ())
    kinds: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 6), np.int64))

    def merge(self, other: Lookup, rows: int) -> Lookup:
        """With the lookup of a later stream, ``rows`` rows into the case. Words of two streams are not compared."""
        moved = tuple(tuple(row + rows for row in place) for place in other.places)
        kinds = other.kinds.copy()
        kinds[:, 4:] += rows
        return Lookup(
            self.words + other.words,
            self.kept + other.kept,
            self.rows,
            self.pairs + other.pairs,
            self.within + other.within,
            self.across + other.across,
            tuple(a or b for a, b in zip(self.places, moved, strict=True)),
            _alike(np.concatenate([self.kinds, kinds])),
        )

    def beyond(self, positions: Positions | None, log10_alpha: float) -> Lookup:
        """Without the repeats that the rates of their rows make likely; see ``beyond_rates``."""
        if positions is None or not len(self.kinds):
            return self
        return self._only(beyond_rates(positions, self.kinds[:, :2], self.rows, self.pairs, log10_alpha))

    def without(self, calls: NDArray[np.int64], odd: NDArray[np.int64]) -> Lookup:
        """Without the kinds of repeats that first stand in odd calls; ``calls``: (kinds, 2) of their first words."""
        return self._only(np.asarray(~np.isin(calls, odd).any(axis=1), bool))

    def _only(self, chosen: NDArray[np.bool_]) -> Lookup:
        kinds = self.kinds[chosen]
        within = kinds[:, 2] == 1
        places = tuple(tuple(int(row) for row in kinds[kind][:1, 4:].ravel()) for kind in (within, ~within))
        counts = (int(kinds[kind, 3].sum()) for kind in (within, ~within))
        return replace(self, within=next(counts), across=next(counts), places=places, kinds=kinds)


def _alike(kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Repeats of equal positions and kind as one, in the order of their rows: their number is added, the first place stands."""
    if not len(kinds):
        return kinds
    kinds = kinds[np.lexsort((kinds[:, 4], kinds[:, 5]))]
    _, first, of = np.unique(kinds[:, :3], axis=0, return_index=True, return_inverse=True)
    added = kinds[first]
    added[:, 3] = np.bincount(of.ravel(), weights=kinds[:, 3]).astype(np.int64)
    return added[np.argsort(added[:, 5], kind="stable")]


def beyond_rates(
    positions: Positions | None, starts: NDArray[np.int64], rows: int, pairs: float, log10_alpha: float
) -> NDArray[np.bool_]:
    """Which repeats of words of ``rows`` rows, that begin at these positions of a call, are copies: (repeats,).

    Words of rows with rates of their own (rows that never drop) agree often by chance. Each repeat is a copy only where at
    the rates of its rows the chance of any such repeat among all ``pairs`` is below alpha, too.
    """
    if positions is None or not positions.own.any():
        return np.ones(len(starts), bool)
    chance = math.log10(max(1.0, pairs)) + positions.log10_agree(starts[:, 0], starts[:, 1], rows)
    told = positions.ordinary(
        starts[:, 0], starts[:, 1], rows
    )  # judged by the length of words, for all of them at once
    return np.asarray(told | (chance <= log10_alpha))


def searched(case: Case) -> bool:
    """Whether words of a case are long enough for repeats to mean something."""
    return case.regime == "seeds" or (case.regime == "stream" and 0.3 <= case.rate <= 0.7)


def word_rows(case: Case) -> int | None:
    """Rows of a word of a whole stream: a pure function of the planned case. None: words of this case are not sampled.

    The least number of rows for which chance repeats among all pairs of its words, pairs x (p^2 + q^2)^coins, lie below
    WORD_ALPHA.
    """
    agree = math.log10(case.rate**2 + (1 - case.rate) ** 2)
    rows = case.row_count
    if not searched(case) or agree >= 0 or rows < 2:
        return None
    coins = (math.log10(WORD_ALPHA) - math.log10(rows * (rows - 1) / 2)) / (RESERVE * agree)
    length = math.ceil(coins / case.channels)
    return length if length <= MOST_WORD_ROWS and 4 * length <= rows else None


class Sample:
    """The words of one stream with the smallest keys, ``most`` of them; words of equal keys by their hash, then by place."""

    def __init__(self, channels: int, rows_per_word: int, most: int = SAMPLED) -> None:
        self.channels, self.rows_per_word, self.most = channels, rows_per_word, most
        self.rows = 0  # of the stream so far
        self._last: Any = None  # the rows of the next words that have come already
        self._threshold: int | None = None  # the largest key of a full sample
        self._parts: list[tuple[Words, Words, Words, NDArray[np.int64]]] = []
        self._pending = 0

    @property
    def words(self) -> int:
        """Words of the stream so far."""
        return max(0, self.rows - self.rows_per_word + 1)

    def add(self, packed: Bytes) -> None:
        """The next rows of the stream: (rows, bytes), packed along channels."""
        first = self.rows
        self.rows += len(packed)
        more = self.rows_per_word - 1
        if more and self._last is not None:
            first -= len(self._last)
            packed = np.concatenate([self._last, packed])
        packed = np.ascontiguousarray(packed)
        for at in range(0, len(packed) - more, _BLOCK):
            self._block(packed[at : at + _BLOCK + more], first + at)
        if more:
            self._last = packed[-more:].copy()

    def _block(self, packed: Bytes, first: int) -> None:
        words = len(packed) - self.rows_per_word + 1
        keys, chosen = _chosen(packed, self.channels, self.rows_per_word, words, self._threshold)
        told = self.channels * self.rows_per_word >= LEAST_COINS
        if told and (still := _still(packed, self.channels, self.rows_per_word)) is not None:
            keys, chosen = keys[~still[chosen]], chosen[~still[chosen]]
        if not len(chosen):
            return
        one, two = _hashes(packed, self.rows_per_word, chosen)
        self._parts.append((keys, one, two, chosen + first))
        self._pending += len(chosen)
        if self._pending >= 2 * self.most:
            self._cut()

    def _cut(self) -> None:
        """Drop what is too much: a partition by key, and an order only among the words of the last key."""
        if not self._parts:
            return
        key, one, two, place = (np.concatenate(some) for some in zip(*self._parts, strict=True))
        if len(key) > self.most:
            last = np.partition(key, self.most - 1)[self.most - 1]
            keep = key < last
            ties = np.flatnonzero(key == last)
            order = np.lexsort((place[ties], one[ties]))
            keep[ties[order[: self.most - int(np.count_nonzero(keep))]]] = True
            kept = np.flatnonzero(keep)  # once for all four
            key, one, two, place = (some.take(kept) for some in (key, one, two, place))
        if len(key) == self.most:
            self._threshold = int(key.max())
        self._parts, self._pending = [(key, one, two, place)], len(key)

    def kept(self) -> tuple[Words, Words, NDArray[np.int64]]:
        """Both hashes and the row of every word of the sample, by the first hash."""
        self._cut()
        if not self._parts:
            return np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int64)
        _, one, two, place = self._parts[0]
        order = np.lexsort((place, two, one)) if _any_equal(one) else np.argsort(one)
        return one[order], two[order], place[order]

    def repeated(self) -> NDArray[np.int64]:
        """(repeats, 2) first rows of a word and of the next equal word behind it that does not overlap it."""
        self._cut()
        if not self._parts or not _any_equal(self._parts[0][1]):
            return np.zeros((0, 2), np.int64)
        one, two, place = self.kept()
        same = (one[1:] == one[:-1]) & (two[1:] == two[:-1])
        if (place[1:] - place[:-1])[same].min(initial=self.rows_per_word) >= self.rows_per_word:  # no two overlap
            pairs = np.column_stack([place[:-1][same], place[1:][same]])
            return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        found = []
        before = -1
        for i in np.flatnonzero(same).tolist():
            if i == 0 or not same[i - 1]:
                before = int(place[i])
            row = int(place[i + 1])
            if row - before >= self.rows_per_word:
                found.append((before, row))
                before = row
        return np.array(sorted(found), np.int64).reshape(-1, 2)

    def lookup(self, case: Case) -> Lookup:
        """What the sample shows of one unit of a case."""
        pairs = self.repeated()
        inside, apart = kinds_of(lambda rows: place_of(case, rows)[0], pairs, self.rows_per_word)
        told = inside | apart
        pairs, inside = pairs[told], inside[told]
        places = tuple(tuple(int(row) for row in pairs[kind][:1].ravel()) for kind in (inside, ~inside))
        ones = np.ones(len(pairs), np.int64)
        kinds = np.column_stack([pairs % cycle(case), inside.astype(np.int64), ones, pairs])
        return Lookup(
            self.words,
            min(self.words, self.most),
            self.rows_per_word,
            self.words * (self.words - 1) / 2,
            int(inside.sum()),
            int((~inside).sum()),
            places,
            _alike(kinds),
        )


def sample_of(case: Case) -> Sample | None:
    """An empty sample for one unit of a case, or None where words are not sampled."""
    length = word_rows(case)
    if length is None:
        return None
    return Sample(case.channels, length, SEEDED if case.regime == "seeds" else SAMPLED)


def place_of(case: Case, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The call of each row of a stream, and the row in that call; in the regime ``seeds`` a seed's two calls are one."""
    if not case.batches:
        size = 2 * case.rows if case.regime == "seeds" else case.rows
        return rows // size, rows % size
    ends = np.cumsum(case.batches)
    turn, rest = np.divmod(rows, ends[-1])
    batch = np.searchsorted(ends, rest, side="right")
    return turn * len(ends) + batch, rest - (ends - np.array(case.batches))[batch]


def kinds_of(
    call_of: Callable[[NDArray[np.int64]], NDArray[np.int64]], pairs: NDArray[np.int64], rows_per_word: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which repeats lie within one call, and which across calls; a few are neither.

    Within: both words lie in one call as a whole. Across: their middles lie in different calls. A run that repeats another
    seems to begin some rows too early, where the rows before both agree by chance, and so may reach over the border of a
    call: what is in between is no evidence of either kind.
    """
    first, middle, last = (call_of(pairs + rows) for rows in (0, rows_per_word // 2, rows_per_word - 1))
    inside = (first[:, 0] == first[:, 1]) & (last[:, 0] == last[:, 1]) & (first[:, 0] == last[:, 0])
    return inside, middle[:, 0] != middle[:, 1]


def repeats(
    packed: Bytes,
    rows_per_word: int,
    channels: int,
    call_of_row: NDArray[np.int64],
    positions: Positions | None = None,
    log10_alpha: float = -math.inf,
) -> Repeats:
    """Every word of some rows against every other, at every row offset; words that overlap are not compared.

    With ``positions``, repeats that the rates of their rows make likelier than alpha are left out; see ``beyond_rates``.
    """
    sample = Sample(channels, rows_per_word, max(1, len(packed)))
    sample.add(packed)
    pairs = sample.repeated()
    if positions is not None and len(pairs):
        starts = pairs % len(positions.rates)
        pairs = pairs[beyond_rates(positions, starts, rows_per_word, len(packed) ** 2 / 2, log10_alpha)]
    inside, apart = kinds_of(lambda rows: call_of_row[rows], pairs, rows_per_word)
    told = inside | apart
    pairs, inside = pairs[told], inside[told]
    places = [(int(a), int(b)) for kind in (inside, ~inside) for a, b in pairs[kind][:32]]
    within = int(inside.sum())
    return Repeats(sample.words, rows_per_word * channels, len(pairs), places, within, len(pairs) - within)


def log10_escape(words: float, kept: float, repeated: float) -> float:
    """log10 of the chance that no copy of ``repeated`` words that occur again is in the sample: (1 - kept / words)^repeated.

    Both copies of a word are in the sample or neither, and the keys of different words are unrelated.
    """
    if repeated <= 0 or words <= 0:
        return 0.0
    return repeated * math.log10(1 - kept / words) if kept < words else -math.inf


def least_extent(words: float, kept: float, rows_per_word: int, beta: float) -> int:
    """Rows of the shortest run that repeats as a whole and escapes the sample with probability at most ``beta``."""
    if kept >= words:
        return rows_per_word
    if kept <= 0:
        raise ValueError("an empty sample shows no repeat, however long")
    return math.ceil(math.log(beta) / math.log1p(-kept / words)) + rows_per_word - 1


# --- keys and hashes -------------------------------------------------------------------------------------------------


def _still(packed: Bytes, channels: int, rows_per_word: int) -> NDArray[np.bool_] | None:
    """Words whose coins all drop, or are all kept, by first row; None where there is none.

    Independent coins make no such word twice. A layer that skips a call does: that is its rate, not a coin used twice.
    """
    full = np.packbits(np.ones(channels, np.uint8), bitorder="little")
    words = len(packed) - rows_per_word + 1
    found = None
    for row in (np.zeros_like(full), full):
        same = packed[:, 0] == row[0]
        at = np.flatnonzero(same)
        if len(at) < rows_per_word:
            continue
        same[at] = (packed[at] == row).all(axis=1)
        run = np.concatenate([[0], np.cumsum(same)])
        whole = run[rows_per_word:][:words] - run[:words] == rows_per_word
        if whole.any():
            found = whole if found is None else found | whole
    return found


def _any_equal(values: Words) -> bool:
    ordered = np.sort(values)
    return bool((ordered[1:] == ordered[:-1]).any())


def _chosen(
    packed: Bytes, channels: int, rows_per_word: int, words: int, most: int | None
) -> tuple[Words, NDArray[np.int64]]:
    """Keys that are at most ``most`` (None: all) of the words that begin at the first ``words`` rows, and these rows."""
    if (library := compiled.library()) is not None:
        size, span = 8 if packed.shape[1] >= 8 else 2, _span(packed.shape[1], channels, rows_per_word)
        return library.chosen(packed, channels, words, span, size, _SCRAMBLE[size], 2**64 - 1 if most is None else most)
    keys = _keys(packed, channels, rows_per_word)[:words]
    chosen = np.arange(words) if most is None else np.flatnonzero(keys <= keys.dtype.type(most))
    return keys[chosen].astype(np.uint64), chosen.astype(np.int64)


def _span(width: int, channels: int, rows_per_word: int) -> int:
    """Rows of a key: one, but where rows are one byte as many, doubled, as 16 coins and the word have."""
    rows = 1
    while width == 1 and 2 * rows * channels <= 16 and 2 * rows <= rows_per_word:
        rows *= 2
    return rows


def _keys(packed: Bytes, channels: int, rows_per_word: int) -> Any:
    """A key for every row: of its first 64 coins, or of 16; where channels are few, of the rows behind it as well."""
    width = packed.shape[1]
    if width >= 8:
        keys: Any = np.ndarray((len(packed),), np.uint64, packed.data, strides=(width,)).copy()
    elif width > 1:
        keys = packed[:, 1].astype(np.uint16)
        keys <<= np.uint16(8)
        keys |= packed[:, 0]
    else:
        keys, rows, span = packed[:, 0].copy(), 1, _span(width, channels, rows_per_word)
        while rows < span:
            if 2 * rows * channels > 8 and keys.dtype == np.uint8:
                keys = keys.astype(np.uint16)
            keys[:-rows] |= keys[rows:] << keys.dtype.type(rows * channels)
            rows *= 2
        keys = keys.astype(np.uint16, copy=False)
    start, factor = (keys.dtype.type(v) for v in _SCRAMBLE[keys.itemsize])
    keys ^= start
    keys *= factor
    return keys


def _hashes(packed: Bytes, rows_per_word: int, chosen: NDArray[np.intp]) -> list[Words]:
    """Two 64-bit hashes of the words that begin at the rows ``chosen``: multiply and xor-shift, eight bytes at a time."""
    if (library := compiled.library()) is not None:
        constants = [number for some in HASHES for number in some]
        return list(library.hashes(packed, rows_per_word, chosen.astype(np.int64), [*constants, LAST]))
    found = [np.full(len(chosen), start, np.uint64) for start, _, _ in HASHES]
    shifted = np.empty(len(chosen), np.uint64)
    for column in _columns(packed, rows_per_word, chosen):
        for hashed, (_, factor, shift) in zip(found, HASHES, strict=True):
            hashed ^= column
            hashed *= np.uint64(factor)
            np.right_shift(hashed, np.uint64(shift), out=shifted)
            hashed ^= shifted
    for hashed in found:  # so that the last coins reach every bit, too
        hashed *= np.uint64(LAST)
        np.right_shift(hashed, np.uint64(32), out=shifted)
        hashed ^= shifted
    return found


def _columns(packed: Bytes, rows_per_word: int, chosen: NDArray[np.intp]) -> Iterator[Words]:
    """The words that begin at the rows ``chosen``, eight bytes at a time; the last eight overlap those before."""
    rows, width = packed.shape
    size, words = rows_per_word * width, rows - rows_per_word + 1
    if size < 8:  # too short for eight bytes: what stands behind the word is cut off
        packed = np.concatenate([packed.ravel(), np.zeros(8, np.uint8)])
    starts = [*range(0, size - 7, 8), *([size - 8] if size % 8 else [])] if size >= 8 else [0]
    for start in starts:
        column: Words = np.ndarray((words,), np.uint64, packed.data, start, (width,))
        column = column.copy() if len(chosen) == words else column[chosen]
        if size < 8:
            column &= np.uint64((1 << 8 * size) - 1)
        yield column
