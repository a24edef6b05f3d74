"""Ties at any distance: the autocorrelation of the first coins of a case, in the order of memory, up to half of them apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.count.first_coins import NONE, FirstCoins, Tied, bernstein, first_coins
from dropcheck.count.gathered import Gathered


def ties_at_every_lag(got: Gathered) -> tuple[Tied, Tied]:
    """The strongest tie of coins a fixed distance apart: of samples of a call, and of calls.

    The coins are taken as a ring of 2^15, or 2^14, so that one transform of that length shows all distances. The products at a
    distance below half of the ring make cycles of even length, which fall into two halves without a common coin; each half has
    Bernstein's bound, and all distances share it.
    """
    seen = got.once(first_coins)
    if seen is None:
        return NONE, NONE
    n, channels = seen.coins, got.case.channels
    x = seen.x.ravel()[:n]
    spectrum = np.fft.rfft(x)
    sums = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, n)[: n // 2 + 1]
    # lags below a row are ties of channels; of parts of calls, distances of calls are not those in memory
    per_call = seen.bits.shape[1] * channels
    samples, calls = NONE, NONE
    for low, high in ((channels, min(per_call, n // 2 + 1) if seen.whole else per_call // 2), (per_call, n // 2 + 1)):
        if high <= low or (low == per_call and not seen.whole):
            continue
        lag = low + int(np.argmax(np.abs(sums[low:high])))
        log = bernstein(abs(float(sums[lag])) / 2, n / 2, seen.most, 2 * (n // 2))
        if log > -1:
            continue
        lag, rho = _unwound(x, lag)
        who = "over all calls they have" if lag >= per_call else "over all of a call they have"
        text = (
            f"drop decisions {_distance(lag, seen, channels)} apart depend on each other: {who} correlation {rho:+.4f}"
        )
        found = log, f"{text}, expected 0", rho
        if lag >= per_call:
            calls = min(calls, found)
        else:
            samples = min(samples, found)
    return samples, calls


def _unwound(x: Any, lag: int) -> tuple[int, float]:
    """The distance that a distance on the ring is, this or the rest of the ring, and the correlation there."""
    found = [(int(k), float(np.dot(x[:-k], x[k:]))) for k in (lag, len(x) - lag)]
    k, total = max(found, key=lambda one: abs(one[1]) / math.sqrt(len(x) - one[0]))
    return k, total / (len(x) - k)


def _distance(lag: int, seen: FirstCoins, channels: int) -> str:
    """``2 calls, 1 sample and 1 channel``: the parts of a distance in memory, the shortest way."""
    per_call = seen.bits.shape[1] * channels
    calls = round(lag / per_call) if lag >= per_call else 0
    rest = lag - calls * per_call
    samples = round(rest / channels)
    parts = [(calls, "call"), (abs(samples), "sample"), (abs(rest - samples * channels), "channel")]
    words = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in parts if count]
    return " and ".join([", ".join(words[:-1]), words[-1]][-len(words) :]) if words else "0 channels"
