"""Rates that follow the number of calls: a layer that drops more, or less, the longer it is used."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dropcheck.count.copies import CERTAIN, calls_of
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import place_of
from dropcheck.statistics import homogeneity

BLOCKS = 16  # of successive calls that are held against each other
_LEAST = 4  # calls of a block
# Standard deviations below which no tail of these counts is 10^-15: a Poisson law reaches it at 5.9, below its mean.
_FAR = 5.5


@dataclass(frozen=True)
class Schedule:
    """Drops and coins of successive blocks of ``block`` calls, of ``calls`` seen. ``log10_p``: of chance, see ``schedule``."""

    block: int
    calls: int
    drops: NDArray[np.int64]
    coins: NDArray[np.int64]
    log10_p: float

    @property
    def first(self) -> float:
        """The rate of the first block."""
        return float(self.drops[0] / self.coins[0])

    @property
    def last(self) -> float:
        """The rate of the last block."""
        return float(self.drops[-1] / self.coins[-1])

    @property
    def words(self) -> str:
        """What is wrong, with numbers."""
        return (
            f"the rate changes with the number of calls: {100 * self.first:.3g} % in the first {self.block} calls, "
            f"{100 * self.last:.3g} % in the last {self.block} of {self.calls}"
        )


def schedule(got: Gathered) -> Schedule | None:
    """How the rate follows the number of the call over the first coins; None where one rate explains all calls, or no order does.

    The calls are cut into 16 blocks. A prefix of blocks is held against the rest by the exact hypergeometric law given the
    totals, Bonferroni over the 15 cuts; the chance of what is said here is below ``CERTAIN`` and takes nothing from the share of
    any check. Coins of one call count as independent, so two things must hold beside: blocks that only rise, or only fall,
    explain all 16 to within twice the spread of independent coins, and calls within a block vary no more than that. Masks
    that come again, or clumps, make blocks differ as well, and in no order.
    """
    if got.sample is None or got.case.regime != "stream":
        return None
    call_of_row = place_of(got.case, np.arange(len(got.sample)))[0]
    calls = int(call_of_row[-1]) + 1
    if calls < _LEAST * BLOCKS:
        return None
    size = calls // BLOCKS
    drops = np.bincount(call_of_row, weights=np.bitwise_count(got.sample).sum(axis=1, dtype=np.int64)).astype(np.int64)
    coins = np.bincount(call_of_row).astype(np.int64) * got.tally.channels
    k, n = (one[: size * BLOCKS].reshape(BLOCKS, size) for one in (drops, coins))
    sums, sizes = k.sum(axis=1), n.sum(axis=1)
    total, whole = int(sums.sum()), int(sizes.sum())
    if not 0 < total < whole:
        return None
    rates = sums / sizes
    if _furthest(sums, sizes) < _FAR:
        return None
    log = change_log10(sums, sizes)
    if log > CERTAIN or not (_in_order(rates, sizes) and _even(k, n, rates)):
        return None
    whole_calls = calls_of(got)
    if whole_calls is not None and got.case.rows * got.case.channels >= 64:
        mixed = (drops[: len(whole_calls)] > 0) & (drops < coins)[: len(whole_calls)]
        some = whole_calls.reshape(len(whole_calls), -1)[mixed]
        if len(np.unique(some, axis=0)) < len(some) / 2:
            return None  # masks that come again
    return Schedule(size, size * BLOCKS, sums, sizes, log)


def _furthest(drops: NDArray[np.int64], coins: NDArray[np.int64]) -> float:
    """The largest deviation of a prefix of blocks from its expectation given the totals, in standard deviations."""
    k, n, whole = drops.cumsum()[:-1], coins.cumsum()[:-1], int(coins.sum())
    p = drops.sum() / whole
    return float((np.abs(k - n * p) / np.sqrt(n * p * (1 - p) * (1 - n / whole))).max())


def change_log10(drops: NDArray[np.int64], coins: NDArray[np.int64]) -> float:
    """log10 of the chance that some prefix of blocks has a rate as far from that of the rest, given the totals."""
    cuts = [
        homogeneity.position_log10(
            np.array([drops[:cut].sum(), drops[cut:].sum()]), np.array([coins[:cut].sum(), coins[cut:].sum()])
        ).min()
        for cut in range(1, len(drops))
    ]
    return min(0.0, float(min(cuts)) + math.log10(len(cuts)))


def _in_order(rates: NDArray[np.float64], sizes: NDArray[np.int64]) -> bool:
    """Whether rates that only rise, or only fall, from block to block explain all blocks."""
    best = math.inf
    for sign in (1, -1):
        fit = sign * _rising(sign * rates, sizes)
        spread = np.maximum(fit * (1 - fit), 1e-9)
        best = min(best, float((sizes * (rates - fit) ** 2 / spread).mean()))
    return best <= 2 + 8 / math.sqrt(len(rates))


def _rising(values: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """The closest values that never fall, by pooling neighbours (weighted least squares)."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        pools.append((float(value), float(weight), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, v, i), (b, w, j) = pools[-2], pools[-1]
            pools[-2:] = [((a * v + b * w) / (v + w), v + w, i + j)]
    return np.concatenate([np.full(length, mean) for mean, _, length in pools])


def _even(drops: NDArray[np.int64], coins: NDArray[np.int64], rates: NDArray[np.float64]) -> bool:
    """Whether successive calls of a block differ about as calls of independent coins with one rate: at most twice, by the median.

    Differences of neighbours, as a rate may move within a block.
    """
    p = np.clip(rates, 1e-9, 1 - 1e-9)[:, None]
    each = p * (1 - p) / coins
    spread = (np.diff(drops / coins, axis=1) ** 2 / (each[:, 1:] + each[:, :-1])).mean(axis=1)
    return float(np.median(spread)) <= 2 + 8 / math.sqrt(drops.shape[1])
