"""The compiled inner loops of counting (counting.c): arrays in, arrays out, the same numbers as NumPy's."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract import native

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Counts = NDArray[np.int64]

_BLOCK = (
    128  # words of a channel that are looked at in one go, a multiple of EVEN in counting.c: 16 channels of them stay
)
# in a core's nearest cache
_SIGNATURES = {  # p: an array, n: a number, u: one without a sign
    "by_channel": "pnnnp",
    "count": "pnnp",
    "column_sums": "pnnp",
    "histogram": "pnnp",
    "bytes": "pnnnp",
    "octets": "pnnpnp",
    "joint": "pnnnpppnppnppnp",
    "within": "pnnppnp",
    "apart": "pnnnnpnp",
    "shifted": "pnnnnpp",
    "neighbour_runs": "pnnnpp",
    "neighbour_calls": "pnnnnnp",
    "chosen": "pnnnnnnuuupp",
    "hashes": "pnnnpnppp",
    "flat": "pnnnnp",
    "anchored": "pnnpuppp",
}


class Library:
    """The functions of counting.c. Words are contiguous; every size is read off the arrays."""

    def __init__(self, found: ctypes.CDLL) -> None:
        kinds = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "u": ctypes.c_uint64}
        self._functions: dict[str, Any] = {}
        for name, signature in _SIGNATURES.items():
            function = self._functions[name] = getattr(found, name)
            function.argtypes = [kinds[k] for k in signature]
            function.restype = ctypes.c_int64 if name in ("chosen", "anchored") else None

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function; arrays are handed over by their address and must have no gaps."""
        given = []
        for one in arguments:
            if isinstance(one, np.ndarray):
                if not one.flags.c_contiguous:
                    raise ValueError(f"{name} was given an array with gaps")
                one = native.address(one)
            given.append(one)
        return self._functions[name](*given)

    def by_channel(self, packed: Bytes, channels: int) -> Words:
        """See coins.by_channel."""
        rows, width = packed.shape
        if channels > 8 * width:
            raise ValueError(f"{width} bytes a row hold no {channels} channels")
        out = np.empty((channels, -(-rows // 64)), np.uint64)
        self._call("by_channel", np.ascontiguousarray(packed), rows, width, channels, out)
        return out

    def count(self, words: Words) -> Counts:
        """Set bits along the last axis."""
        words = np.ascontiguousarray(words)
        out = np.empty(words.shape[:-1], np.int64)
        self._call("count", words, out.size, words.shape[-1], out)
        return out

    def column_sums(self, packed: Bytes) -> Counts:
        """See coins.column_sums."""
        n, size = packed.shape
        out = np.empty(8 * size, np.int64)
        self._call("column_sums", np.ascontiguousarray(packed), n, size, out)
        return out

    def histogram(self, packed: Bytes, channels: int) -> Counts:
        """Rows by their number of drops: (channels + 1,)."""
        rows, width = packed.shape
        out = np.zeros(8 * width + 1, np.int64)
        self._call("histogram", np.ascontiguousarray(packed), rows, width, out)
        return out[: channels + 1]

    def bytes(self, packed: Bytes, columns: int) -> Counts:
        """Rows by the value of each of the first columns: (columns, 256)."""
        rows, width = packed.shape
        out = np.zeros((min(columns, width), 256), np.int64)
        self._call("bytes", np.ascontiguousarray(packed), rows, width, len(out), out)
        return out

    def octets(self, words: Words, stride: int, starts: NDArray[np.intp]) -> Counts:
        """Patterns of the channels start + i stride, i < 8, of (channels, n) words, padding included: (starts, 256)."""
        channels, n = words.shape
        if len(starts) and (starts.min() < 0 or starts.max() + 7 * stride >= channels):
            raise ValueError(f"{channels} channels hold no eight that are {stride} apart from {starts.max()} on")
        out = np.zeros((len(starts), 256), np.int64)
        self._call("octets", words, stride, n, starts.astype(np.int64), len(starts), out)
        return out

    def joint(
        self, words: Words, lags: Sequence[int], threes: Sequence[int] = (), fours: Sequence[int] = ()
    ) -> tuple[Counts, Counts, Counts]:
        """Joint drops of (channels, n) words, each kind one behind the other.

        Of channels c, c + lag for every lag, (channels - lag,) each, lags rising; of c, c + s, c + 2 s, (channels - 2 s,)
        each; of disjoint fours abc, abd, acd, bcd and abcd, (5, channels // (4 s) x s) each.
        """
        channels, n = words.shape
        if list(lags) != sorted(lags) or any(s < 1 for s in (*lags, *threes, *fours)):
            raise ValueError("lags rise and are positive")
        pairs = np.zeros(sum(max(0, channels - s) for s in lags), np.int64)
        triples = np.zeros(sum(max(0, channels - 2 * s) for s in threes), np.int64)
        quads = np.zeros(sum(5 * (channels // (4 * s)) * s for s in fours), np.int64)
        if max(lags, default=0) >= channels or 2 * max(threes, default=0) >= channels:
            raise ValueError(f"{channels} channels have no such lag")
        scratch = np.empty(channels * (_BLOCK + 8), np.uint64)
        every = np.zeros(channels * channels if len(lags) == channels - 1 else 0, np.uint32)
        kinds = [np.array(some, np.int64) for some in (lags, threes, fours)]
        given = [x for kind, out in zip(kinds, (pairs, triples, quads), strict=True) for x in (kind, len(kind), out)]
        self._call("joint", words, channels, n, _BLOCK, scratch, every, *given)
        return pairs, triples, quads

    def within(self, words: Words, lags: Sequence[int], masks: Sequence[np.uint64]) -> Counts:
        """Joint drops of bits lag apart within words, under a mask for each: (lags, channels)."""
        channels = len(words)
        out = np.empty((len(lags), channels), np.int64)
        if any(not 0 < lag < 64 for lag in lags):
            raise ValueError("lags within a word are 1 to 63")
        n = words.size // max(1, channels)
        self._call("within", words, channels, n, np.array(lags, np.int64), np.array(masks, np.uint64), len(lags), out)
        return out

    def apart(self, words: Words, axis: int, lags: Sequence[int]) -> Counts:
        """Joint drops of disjoint pairs lag apart along an axis of (channels, ...) words: (lags, channels)."""
        shape = words.shape
        outer, inner = int(np.prod(shape[1:axis], dtype=np.int64)), int(np.prod(shape[axis + 1 :], dtype=np.int64))
        out = np.empty((len(lags), shape[0]), np.int64)
        if any(lag < 1 for lag in lags):
            raise ValueError("lags are positive")
        self._call("apart", words, shape[0], outer, shape[axis], inner, np.array(lags, np.int64), len(lags), out)
        return out

    def shifted(self, words: Words, lag: int, masks: Words) -> Counts:
        """First, second and both dropped of bits lag apart of (channels, runs, n) words under masks (n,): (channels, 3)."""
        channels, runs, n = words.shape
        out = np.empty((channels, 3), np.int64)
        if masks.shape != (n,) or not 0 < lag < 64:
            raise ValueError("a mask for every word of a run, and a lag of 1 to 63")
        self._call("shifted", words, channels, runs, n, lag, masks, out)
        return out

    def neighbour_runs(self, words: Words, masks: Words) -> Counts:
        """Neighbouring bits of neighbouring runs of (channels, runs, n) words, forwards and backwards: (channels, 6)."""
        channels, runs, n = words.shape
        out = np.empty((channels, 6), np.int64)
        if masks.shape != (n,):
            raise ValueError("a mask for every word of a run")
        self._call("neighbour_runs", words, channels, runs, n, masks, out)
        return out

    def neighbour_calls(self, words: Words, pairs: int, rows: int) -> Counts:
        """Neighbouring rows of calls 2 k and 2 k + 1, k < pairs, of (channels, calls, n) words: (channels, 8)."""
        channels, calls, n = words.shape
        out = np.empty((channels, 8), np.int64)
        if not 0 <= 2 * pairs <= calls or not 64 * (n - 1) < rows <= 64 * n:
            raise ValueError(f"{calls} calls of {n} words hold no {pairs} pairs of calls of {rows} rows")
        self._call("neighbour_calls", words, channels, calls, n, pairs, rows, out)
        return out

    def chosen(
        self, packed: Bytes, channels: int, words: int, span: int, size: int, scramble: tuple[int, int], most: int
    ) -> tuple[Words, NDArray[np.int64]]:
        """Keys that are at most ``most`` of the first ``words`` rows, and the rows; ``span``: rows of a key."""
        rows, width = packed.shape
        if (
            words > rows
            or (width == 1 and words + span - 1 > rows)
            or (size == 8) != (width >= 8)
            or channels > 8 * width
        ):
            raise ValueError(f"{rows} rows of {width} bytes hold no {words} keys of {size} bytes")
        keys, places = np.empty(words, np.uint64), np.empty(words, np.int64)
        found = self._call("chosen", packed, rows, width, channels, words, span, size, *scramble, most, keys, places)
        return keys[:found].copy(), places[:found].copy()

    def hashes(
        self, packed: Bytes, rows_per_word: int, places: NDArray[np.int64], constants: Sequence[int]
    ) -> tuple[Words, Words]:
        """Both hashes (words._hashes) of the words that begin at some rows."""
        rows, width = packed.shape
        if len(places) and (places.min() < 0 or places.max() + rows_per_word > rows):
            raise ValueError(f"{rows} rows hold no word of {rows_per_word} rows at row {places.max()}")
        one, two = np.empty(len(places), np.uint64), np.empty(len(places), np.uint64)
        given = np.array(constants, np.uint64)
        self._call("hashes", packed, rows, width, rows_per_word * width, places, len(places), given, one, two)
        return one, two

    def flat(self, packed: Bytes, channels: int, at: int, out: Words) -> None:
        """Put the coins of (rows, bytes) without a gap behind the first ``at`` bits of ``out``; see stretches.flat."""
        rows, width = packed.shape
        if channels > 8 * width or 64 * len(out) < at + rows * channels + 64:
            raise ValueError(f"{len(out)} words hold no {at + rows * channels} bits and a word behind them")
        self._call("flat", packed, rows, width, channels, at, out)

    def anchored(
        self, bits: Words, coins: int, length: int, constants: Sequence[int], most: int
    ) -> tuple[Words, Words, NDArray[np.int64]]:
        """Both hashes and the offsets of the words that begin with an anchor; see stretches.anchored."""
        if length < 64 or len(bits) < coins // 64 + 3:
            raise ValueError(f"words have at least 64 bits, and two words stand behind {coins} bits")
        room = max(0, coins - length + 1) // 6 + 1
        one, two, places = np.empty(room, np.uint64), np.empty(room, np.uint64), np.empty(room, np.int64)
        given = np.array(constants, np.uint64)
        found = self._call("anchored", bits, coins, length, given, most, one, two, places)
        return one[:found].copy(), two[:found].copy(), places[:found].copy()


@lru_cache(maxsize=1)
def library() -> Library | None:
    """The compiled loops; None where they were not built, or are left out."""
    found = native.library(str(Path(__file__).parent), "counting")
    return None if found is None else Library(found)
