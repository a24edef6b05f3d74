"""Ties at any distance: the autocorrelation of the first coins of a case, in the order of memory, up to half of them apart."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import calls_of
from dropcheck.count.gathered import Gathered

COINS = 1 << 15  # of the first calls that are looked at
_LEAST = 1 << 14
_SIZES = (24576, 32768, 40960, 49152)  # of transforms: few, so that their plans are kept
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

    # of large calls, the first rows of two: rows of a call that have rates of their own show in both
    rows = min(case.rows, COINS // (2 * case.channels))
    per_call = rows * case.channels
    if not per_call:
        return NONE, NONE
    calls = calls[: COINS // per_call, :rows]
    n = len(calls) * per_call
    if n < _LEAST or len(calls) < 2:
        return NONE, NONE
    bits = unpack(calls.reshape(-1, calls.shape[2]), case.channels).reshape(len(calls), rows, case.channels)
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
    far = n // 2 + 1  # lags below it: each has half of the coins or more
    size = next(size for size in _SIZES if size >= n + far - 1)
    spectrum = fft.rfft(x.ravel(), size)
    sums = fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:far] / np.float32(variance)
    score = np.abs(sums) / np.sqrt(np.arange(n, n - far, -1, dtype=np.float32))
    # places of a call with rates of their own agree at every distance of whole calls, and look tied at others as well
    at = slice(per_call, min(9 * per_call, far), per_call)
    if float(np.median(score[at] * np.sign(sums[at]))) > _PLACES:
        return NONE, NONE
    most = max(mean / (1 - mean), (1 - mean) / mean)

    def strongest(low: int, high: int, who: str) -> Tied:
        if high <= low:
            return NONE
        lag = low + int(np.argmax(score[low:high]))
        pairs = n - lag
        t = float(score[lag]) * math.sqrt(pairs) / 2
        log = math.log10(4 * n) - t * t / (2 * (pairs / 2 + most * t / 3)) / math.log(10)
        rho = float(sums[lag] / pairs)
        text = f"drop decisions {_distance(lag, rows, case.channels)} apart depend on each other: {who} correlation {rho:+.4f}"
        return min(0.0, log), f"{text}, expected 0", rho

    # lags below a row are ties of channels; of parts of calls, distances of calls are not those in memory
    between = NONE if rows < case.rows else strongest(per_call, far, "over all calls they have")
    return strongest(case.channels, per_call, "over all of a call they have"), between


def _distance(lag: int, rows: int, channels: int) -> str:
    """``2 calls, 1 sample and 1 channel``: the parts of a distance in memory, the shortest way."""
    calls = round(lag / (rows * channels)) if lag >= rows * channels else 0
    rest = lag - calls * rows * channels
    samples = round(rest / channels)
    parts = [(calls, "call"), (abs(samples), "sample"), (abs(rest - samples * channels), "channel")]
    words = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in parts if count]
    return " and ".join([", ".join(words[:-1]), words[-1]][-len(words) :]) if words else "0 channels"
