"""Stretches of coins that occur twice at any offset of the flat stream: a sample of its words, wherever they begin.

The flat stream of a case is its coins row after row, as a generator fills them. Words of rows (``repeated_words``) begin where rows
begin; a block of 2^16 coins that is used again meets itself at the offset of a row only where 2^16 is a multiple of the width.
Here a word begins wherever six coins are those of ``ANCHOR``: what is looked up depends on the coins alone, so both copies of a
stretch are looked up at the same places or neither, and the sample is the same however the stream is cut. No end of the
anchor is a beginning of it, so that words are at least six coins apart, and of m independent coins none with probability below
(1 - p^3 q^3)^(m - 5).

Error: words of independent coins that do not overlap agree with probability at most (p^2 + q^2)^coins. Words are so long that
over all pairs of offsets of a case this is below ``CERTAIN``, as for other exact questions: it takes nothing from the share
of any check. At rate .5 words have 90 to 110 coins, at .3 and .7 up to 140.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.cases import Case
from dropcheck.count import compiled
from dropcheck.count.coins import Bytes, Words
from dropcheck.count.repeated_words import HASHES, LAST, RESERVE, SAMPLED, Lookup, Sample, kinds_of, place_of, searched

CERTAIN = -15.0  # log10 of the chance of any repeat among all pairs of offsets of a case; see above
ANCHOR = (1, 1, 0, 1, 0, 0)  # the coins that a word begins with, 1 dropped
# A word with so many equal coins on end is left out: calls that drop nothing end in such words, by their rate.
RUN = 32
_BLOCK = 1 << 20  # coins that are looked through at once


def word_coins(case: Case) -> int | None:
    """Coins of a word: a pure function of the planned case. None: no words are looked for at any offset."""
    agree = math.log10(case.rate**2 + (1 - case.rate) ** 2)
    if not searched(case) or agree >= 0 or case.coins < 2:
        return None
    length = math.ceil((CERTAIN - math.log10(case.coins / 2 * case.coins)) / (RESERVE * agree))
    length = max(64, length)  # what stands for a word is read 64 coins at a time
    return length if 4 * length <= case.coins else None


def stretches_of(case: Case) -> Stretches | None:
    """An empty sample for one unit of a case, or None where there are no words."""
    length = word_coins(case)
    return None if length is None else Stretches(case.channels, length)


class Stretches(Sample):
    """The words of one flat stream that begin with the anchor: of these, the ``most`` with the smallest hashes."""

    def __init__(self, width: int, coins_per_word: int, most: int = SAMPLED) -> None:
        """``width``: coins of a row. In coins all else of a sample of words is what it is in rows of one coin."""
        super().__init__(1, coins_per_word, most)
        self._width = width
        self._tail: Words = np.zeros(0, np.uint64)  # the coins of the next words that have come already
        self._held = 0

    def add(self, packed: Bytes) -> None:
        """The next rows of the stream: (rows, bytes), packed along channels."""
        packed = np.ascontiguousarray(packed)
        rows = max(1, _BLOCK // self._width)
        for at in range(0, len(packed), rows):
            self._rows(packed[at : at + rows])

    def _rows(self, packed: Bytes) -> None:
        more, first = self.rows_per_word - 1, self.rows - self._held
        bits = flat(packed, self._width, self._tail, self._held)
        coins = self._held + len(packed) * self._width
        self.rows += len(packed) * self._width
        if coins > more:
            one, two, places = anchored(bits, coins, self.rows_per_word, self._threshold)
            if len(places):
                self._parts.append((one, one, two, places + first))
                self._pending += len(places)
                if self._pending >= 2 * self.most:
                    self._cut()
        self._held = min(more, coins)
        kept = np.unpackbits(bits.view(np.uint8)[(coins - self._held) // 8 :], bitorder="little")
        kept = np.resize(kept[(coins - self._held) % 8 :][: self._held], self._held)
        padded = np.zeros(-(-self._held // 64) * 64, np.uint8)
        padded[: self._held] = kept
        self._tail = np.packbits(padded, bitorder="little").view(np.uint64)

    def lookup(self, case: Case) -> Lookup:
        """What the sample shows of one unit of a case; ``words`` are offsets, rows and places are in coins."""
        kept = len(self.kept()[0])
        pairs = self.repeated()
        inside, apart = kinds_of(lambda coins: place_of(case, coins // self._width)[0], pairs, self.rows_per_word)
        places = tuple(tuple(int(coin) for coin in pairs[kind][:1].ravel()) for kind in (inside, apart))
        every = self.words * (self.words - 1) / 2
        return Lookup(self.words, kept, self.rows_per_word, every, int(inside.sum()), int(apart.sum()), places)


def coin_at(case: Case, coin: int) -> str:
    """The place of a coin of the flat stream of a case, in words."""
    row, channel = divmod(coin, case.channels)
    calls, rows = place_of(case, np.array([row]))
    return f"call {calls[0]}, sample {rows[0]}, channel {channel}"


def log10_chance(pairs: float, rates: NDArray[np.float64], coins: int) -> float:
    """log10 of a bound of the chance that any of so many pairs of words agrees, at the rates of the channels.

    Coins of rates a and b agree with probability at most sqrt((a^2 + (1 - a)^2) (b^2 + (1 - b)^2)): words agree no oftener
    than two copies of the word whose channels agree most with themselves.
    """
    agree = np.log10(rates**2 + (1 - rates) ** 2)
    whole, rest = divmod(coins, len(agree))
    run = np.concatenate([[0.0], np.cumsum(np.concatenate([agree, agree]))])
    part = (run[rest : rest + len(agree)] - run[: len(agree)]).max()
    return math.log10(max(1.0, pairs)) + whole * float(agree.sum()) + float(part)


# --- on packed bits --------------------------------------------------------------------------------------------------


def flat(packed: Bytes, width: int, tail: Words, held: int) -> Words:
    """The coins of some rows without a gap, behind ``held`` coins of ``tail``; two words of zeros behind them."""
    coins = held + len(packed) * width
    out = np.zeros(coins // 64 + 3, np.uint64)
    out[: len(tail)] = tail
    if (library := compiled.library()) is not None:
        library.flat(packed, width, held, out)
        return out
    bits = np.unpackbits(packed, axis=1, count=width, bitorder="little").ravel()
    before = np.unpackbits(tail.view(np.uint8), bitorder="little")[:held]
    some = np.packbits(np.concatenate([before, bits]), bitorder="little")
    out.view(np.uint8)[: len(some)] = some
    return out


def anchored(bits: Words, coins: int, length: int, most: int | None) -> tuple[Words, Words, NDArray[np.int64]]:
    """Both hashes and the offsets of the words that begin with the anchor and whose first hash is at most ``most``.

    ``bits``: ``coins`` coins and two words of zeros behind them.
    """
    constants = [*HASHES[0], *HASHES[1], LAST]
    if (library := compiled.library()) is not None:
        return library.anchored(bits, coins, length, constants, 2**64 - 1 if most is None else most)
    words = coins - length + 1
    ones = np.unpackbits(bits.view(np.uint8), count=coins, bitorder="little").view(bool)
    begins = np.ones(words, bool)
    for i, coin in enumerate(ANCHOR):
        begins &= ones[i : i + words] == bool(coin)
    places = np.flatnonzero(begins).astype(np.int64)
    runs = np.zeros(len(places), bool)
    for start in [*range(0, length - 64, 32), length - 64]:
        window = _window(bits, places + start)
        runs |= _long_run(window) | _long_run(~window)
    places = places[~runs]
    found = [np.full(len(places), start, np.uint64) for start, _, _ in HASHES]
    for start in [*range(0, length - 63, 64), *([length - 64] if length % 64 else [])]:
        window = _window(bits, places + start)
        for hashed, (_, factor, shift) in zip(found, HASHES, strict=True):
            hashed ^= window
            hashed *= np.uint64(factor)
            hashed ^= hashed >> np.uint64(shift)
    for hashed in found:
        hashed *= np.uint64(LAST)
        hashed ^= hashed >> np.uint64(32)
    keep = np.ones(len(places), bool) if most is None else found[0] <= np.uint64(most)
    return found[0][keep], found[1][keep], places[keep]


def _window(bits: Words, places: NDArray[np.int64]) -> Words:
    """64 coins from each of some places on."""
    word, shift = places >> 6, (places & 63).astype(np.uint64)
    above = np.where(shift > 0, bits[word + 1] << ((np.uint64(64) - shift) & np.uint64(63)), np.uint64(0))
    return np.asarray((bits[word] >> shift) | above, np.uint64)


def _long_run(words: Words) -> NDArray[np.bool_]:
    """Whether RUN bits on end are set."""
    for step in (1, 2, 4, 8, 16):
        words = words & (words >> np.uint64(step))
    return np.asarray(words != 0)
