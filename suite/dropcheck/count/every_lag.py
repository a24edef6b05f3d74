"""Ties at any distance: the autocorrelation of the first coins of a case, in the order of memory, at every lag."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import calls_of
from dropcheck.count.gathered import Gathered

COINS = 1 << 15  # of the first calls that are looked at
_LEAST = 1 << 14
_PLACES = 3.0  # standard deviations
Tied = tuple[float, str, float]  # log10 of the chance of any such tie, its words, its correlation
NONE: Tied = (0.0, "", 0.0)


def ties_at_every_lag(got: Gathered) -> tuple[Tied, Tied]:
    """The strongest tie of coins a fixed distance apart: of samples of a call, and of calls.

    The chance is an upper bound: the products at one lag fall into two halves without a common coin, each half has Bernstein's
    bound, and all lags share it. Coins are taken relative to the mean of their channel, row and call, so that rates of their
    own are no ties.
    """
    calls = calls_of(got)
    case = got.case
    if calls is None or case.regime != "stream" or not 0.05 <= case.rate <= 0.95:
        return NONE, NONE
    from scipy import fft  # slow to import

    per_call = case.rows * case.channels
    calls = calls[: max(2, COINS // per_call)]
    n = len(calls) * per_call
    if not _LEAST <= n <= 2 * COINS or len(calls) < 2:
        return NONE, NONE
    bits = unpack(calls.reshape(-1, calls.shape[2]), case.channels).reshape(len(calls), case.rows, case.channels)
    x = bits.astype(np.float32)
    mean = float(x.mean())
    for axes in ((0, 1), (0, 2), (1, 2)):
        if math.prod(x.shape[a] for a in axes) >= 64:
            x -= x.mean(axis=axes, keepdims=True)
    if not 0 < mean < 1:
        return NONE, NONE
    variance = float((x**2).mean())
    if variance < 0.5 * mean * (1 - mean):
        return NONE, NONE  # hardly any coin is by itself: copies, or rates of their own
    size = fft.next_fast_len(2 * n, real=True)
    spectrum = fft.rfft(x.ravel(), size)
    sums = fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:n].astype(np.float64) / variance
    lags = np.arange(n)
    score = np.abs(sums) / np.sqrt(np.maximum(n - lags, 1))
    # places of a call with rates of their own agree at every distance of whole calls, and look tied at others as well
    at = slice(per_call, min(9 * per_call, n - n // 8), per_call)
    whole = score[at] * np.sign(sums[at])
    if len(whole) and float(np.median(whole)) > _PLACES:
        return NONE, NONE
    score[n - n // 8 :] = 0  # of few pairs
    most = max(mean / (1 - mean), (1 - mean) / mean)

    def strongest(low: int, high: int, who: str) -> Tied:
        if high <= low:
            return NONE
        lag = low + int(np.argmax(score[low:high]))
        pairs = n - lag
        t = float(score[lag]) * math.sqrt(pairs) / 2
        log = math.log10(4 * n) - t * t / (2 * (pairs / 2 + most * t / 3)) / math.log(10)
        rho = float(sums[lag] / pairs)
        text = f"drop decisions {_distance(lag, case.rows, case.channels)} apart depend on each other: {who} correlation {rho:+.4f}"
        return min(0.0, log), f"{text}, expected 0", rho

    # lags below a row are ties of channels
    return (
        strongest(case.channels, per_call, "over all of a call they have"),
        strongest(per_call, n, "over all calls they have"),
    )


def _distance(lag: int, rows: int, channels: int) -> str:
    """``2 calls, 1 sample and 1 channel``: the parts of a distance in memory, the shortest way."""
    calls = round(lag / (rows * channels))
    rest = lag - calls * rows * channels
    samples = round(rest / channels)
    parts = [(calls, "call"), (abs(samples), "sample"), (abs(rest - samples * channels), "channel")]
    words = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in parts if count]
    return " and ".join([", ".join(words[:-1]), words[-1]][-len(words) :]) if words else "0 channels"
