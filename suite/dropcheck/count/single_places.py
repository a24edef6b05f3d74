"""Places (row, channel) that drop more often than others of their channel, in even and in odd calls: by a rate, or by a tie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import CERTAIN, calls_of
from dropcheck.count.gathered import Gathered
from dropcheck.statistics import association

_TOLD = -8.0  # log10 of the chance that even and odd calls of the first coins need, so that distant calls are compared
# Distant calls have 2/3 of the pairs of even and odd ones, so about 4/9 of the evidence if places have rates; a sixth is asked.
_LASTS = 1 / 6
_COMPARED = 512  # calls, each with each other


@dataclass(frozen=True)
class Places:
    """``above``, ``below``: the rate in odd calls at places above, and not above, the average of their channel in even calls.

    ``log10_p``: of the chance of this. ``lasting``: whether calls far apart show the same places, as rates of their own do;
    what only calls near each other share is a tie between them. ``distance``, ``rho``: of calls with the clearest tie, 0 where
    no distance of the first calls shows one place by place. ``calls``: pairs of even and odd ones.
    """

    above: float
    below: float
    log10_p: float
    calls: int
    lasting: bool
    distance: int = 0
    rho: float = 0.0


def single_places(got: Gathered) -> Places | None:
    """The places of a case, if chance explains them with a probability below 10^-15 only."""
    tally = got.live
    if 1 not in tally.call_places or tally.without.any():
        return None
    t = tally.call_places[1]
    shape = (-1, tally.channels)
    table = _table(t.first.reshape(shape), t.second.reshape(shape), int(t.pairs[0]))
    log = _log10_p(table)
    if log > CERTAIN:
        return None
    pairs, chosen, second, both = table
    above = float(both.sum() / max(1, chosen.sum()))
    below = float((second.sum() - both.sum()) / max(1, (pairs - chosen).sum()))
    coins = _first_calls(got)
    if coins is None or (above > below and _lasting(coins)):
        return Places(above, below, log, int(t.pairs[0]), True)
    return Places(above, below, log, int(t.pairs[0]), False, *_clearest(coins))


def _table(first: Any, second: Any, calls: int) -> tuple[Any, Any, Any, Any]:
    """(pairs, at places above the average in the first calls, drops of the second calls, of these at such places): (channels,)."""
    above = first > first.mean(axis=0)
    pairs = np.full(first.shape[1], calls * len(first))
    return pairs, calls * above.sum(axis=0), second.sum(axis=0), np.where(above, second, 0).sum(axis=0)


def _log10_p(table: tuple[Any, Any, Any, Any]) -> float:
    return min(0.0, min(association.log10_association(*table)) + math.log10(2))


def _first_calls(got: Gathered) -> Any:
    """(calls, rows, channels) of zeros and ones; None: there are too few to compare distant ones."""
    calls = calls_of(got)
    if calls is None or len(calls) < 6:
        return None
    return unpack(calls.reshape(-1, calls.shape[2]), got.tally.channels).reshape(len(calls), got.case.rows, -1)


def _lasting(coins: Any) -> bool:
    """Whether the first and the last third of the calls show the same places, as far as even and odd ones do."""

    def log10_p(one: Any, two: Any) -> float:
        size = min(len(one), len(two))
        first, second = (part[:size].sum(axis=0, dtype=np.int64) for part in (one, two))
        return _log10_p(_table(first, second, size))

    near, third = log10_p(coins[::2], coins[1::2]), len(coins) // 3
    return near > _TOLD or log10_p(coins[:third], coins[-third:]) <= _LASTS * near


def _clearest(coins: Any) -> tuple[int, float]:
    """The distance of calls with the clearest correlation place by place, and that: (0, 0.0) within 8 standard deviations."""
    x = coins[:_COMPARED].reshape(min(len(coins), _COMPARED), -1).astype(np.float32)
    x -= x.mean(axis=0)
    products, variance = x @ x.T, float((x**2).mean())
    apart = np.arange(1, len(x) // 2 + 1)
    sums = np.array([np.trace(products, offset=int(k), dtype=np.float64) for k in apart]) / max(variance, 1e-9)
    pairs = (len(x) - apart) * x.shape[1]
    best = int(np.argmax(np.abs(sums) / np.sqrt(pairs)))
    if abs(sums[best]) < 8 * np.sqrt(pairs[best]):
        return 0, 0.0
    return int(apart[best]), float(sums[best] / pairs[best])
