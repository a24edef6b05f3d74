"""Samples tied to the sample as far from the other end of their batch: the first to the last, the second to the last but one."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from dropcheck.count.first_coins import NONE, Tied, bernstein, first_coins
from dropcheck.count.gathered import Gathered


def ties_of_mirrored_samples(got: Gathered) -> Tied:
    """The strongest tie of samples i and N - 1 - i, or i and N - i, their channels any distance apart or in reverse order.

    Of the samples of a pair one lies in the first half of the batch: the products of one distance have no coin in common, and
    their sum has Bernstein's bound. All distances, both orders of channels and both kinds of pairs share it.
    """
    seen = got.once(first_coins)
    if seen is None or got.case.rows < 4:
        return NONE
    x, channels = seen.x, got.case.channels
    size = _length(2 * channels)
    half = x.shape[1] // 2
    transformed = np.fft.rfft(x, size, axis=2) if channels > 1 else x
    front = transformed[:, :half]
    best = NONE
    # i and N - 1 - i; i and N - i, as an index of -i takes them
    for first, back in ((0, transformed[:, : -half - 1 : -1]), (1, transformed[:, :-half:-1])):
        some = front[:, first:]
        for backwards, product in ((False, some.conj() * back), (True, some * back)):
            total = product.sum(axis=(0, 1))
            sums = np.fft.irfft(total, size) if channels > 1 else total
            tied = _strongest(sums, channels, x.shape[0] * some.shape[1], backwards, seen.most)
            if tied[0] < best[0]:
                last = "N - 1 - i" if first == 0 else "N - i"
                text = f"of N samples, i and {last} depend on each other"
                best = tied[0], f"{text}: {tied[1]} have correlation {tied[2]:+.4f}, expected 0", tied[2]
    return best


def _strongest(sums: Any, channels: int, rows: int, backwards: bool, most: float) -> Tied:
    """The strongest of all distances of channels in ``sums``: at +e and, wrapped around, -e; ``backwards``, of c and t - c."""
    places = np.arange(2 * channels - 1) if backwards else np.arange(1 - channels, channels)
    pairs = rows * (channels - np.abs(places - (channels - 1 if backwards else 0)))
    t = np.abs(sums[places])
    i = int(np.argmax(t**2 / pairs))
    log = bernstein(float(t[i]), float(pairs[i]), most, 4 * len(places))
    e = int(places[i])
    moved = f"channels {abs(e)} apart" if e else "the same channels"
    where = f"channels c and {e} - c" if backwards else moved
    return log, where, float(sums[e] / pairs[i])


@lru_cache(maxsize=64)
def _length(least: int) -> int:
    """The smallest length of a transform, 1, 3 or 5 times a power of two, that holds so many numbers."""
    return min(b << max(0, math.ceil(math.log2(least / b))) for b in (1, 3, 5))
