"""The first coins of a case relative to their means, for questions about ties that sums over places and calls do not show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import calls_of
from dropcheck.count.gathered import Gathered

COINS = 1 << 15  # of the first calls that are looked at; half of them in other dtypes than float32
_EACH = 64  # coins that a mean needs to be taken away
_PLACES = 3.0  # standard deviations
Tied = tuple[float, str, float]  # log10 of the chance of any such tie, its words, its correlation
NONE: Tied = (0.0, "", 0.0)


@dataclass(frozen=True)
class FirstCoins:
    """``bits``: (calls, rows, channels) of zeros and ones, of large calls the first and the last rows of two; at least
    ``coins`` of them. ``x``: the same relative to the mean of their channel, row and call, divided by the deviation.

    ``most``: the largest product of two such numbers. ``whole``: whether ``bits`` has all rows of its calls.
    """

    bits: Any
    x: Any
    most: float
    coins: int
    whole: bool


def first_coins(got: Gathered) -> FirstCoins | None:
    """None where there are too few, or copies or rates of their own leave hardly any coin by itself.

    Calls whose places (row, channel) have rates of their own are left alone, too: these look tied in many ways.
    """
    calls, case = calls_of(got), got.case
    if calls is None or case.regime != "stream" or not 0.05 <= case.rate <= 0.95:
        return None
    coins = COINS if case.dtype == "float32" else COINS // 2
    per_call = case.rows * case.channels
    if min(len(calls) * per_call, len(got.sample if got.sample is not None else ()) * case.channels) < COINS // 2:
        return None
    coins = min(coins, COINS if len(calls) * per_call >= COINS else COINS // 2)
    half = -(-coins // (4 * case.channels))  # rows at each end
    whole = 2 * half >= case.rows or 2 * per_call <= coins
    chosen = calls[: max(2, -(-coins // per_call))] if whole else _ends(calls[:2], half)
    bits = unpack(chosen.reshape(-1, calls.shape[2]), case.channels).reshape(*chosen.shape[:2], case.channels)
    x = bits.astype(np.float32)
    mean = float(x.mean())
    for axes in ((0, 1), (0, 2), (1, 2)):
        if math.prod(x.shape[a] for a in axes) >= _EACH:
            x -= x.mean(axis=axes, keepdims=True)
    variance = float(np.dot(x.ravel(), x.ravel())) / x.size
    if not 0 < mean < 1 or variance < 0.5 * mean * (1 - mean):
        return None  # hardly any coin is by itself: copies, or rates of their own
    x /= np.float32(math.sqrt(variance))
    if _places(x):
        return None
    return FirstCoins(bits, x, max(mean / (1 - mean), (1 - mean) / mean), coins, whole)


def _ends(calls: Any, half: int) -> Any:
    return np.concatenate([calls[:, :half], calls[:, -half:]], axis=1)


def bernstein(t: float, pairs: float, most: float, ways: float) -> float:
    """log10 of a bound of the chance that any of so many sums of ``pairs`` independent products of two coins is beyond +-t.

    Products have mean 0, variance 1 and size at most ``most`` (Bernstein 1924; Boucheron, Lugosi, Massart 2013, corollary 2.11).
    """
    return min(0.0, math.log10(2 * ways) - t * t / (2 * (pairs + most * t / 3)) / math.log(10))


def _places(x: Any) -> bool:
    """Whether places of a call agree from call to call, near and further apart: rates of their own, and no tie of coins."""
    flat = x.reshape(len(x), -1)
    lags = range(1, min(8, max(1, len(x) // 2)) + 1)
    scores = [float(np.dot(flat[:-k].ravel(), flat[k:].ravel())) / math.sqrt(flat[k:].size) for k in lags]
    return float(np.median(scores)) > _PLACES
