"""One position against the rest, given the totals, so that a wrong overall rate is not mistaken for a wrong position."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from dropcheck.statistics.evidence import LOG10E, chernoff_log10, log_hypergeometric, normal_log10_sf, z
from dropcheck.statistics.goodness import LEAST_EXPECTED, chi2_log10_sf, safe_factor

EXACT_MOST = 6
MOST_TERMS = 4000
# Below this score a p-value is above 1e-4: no share of 1e-6 can reach it, so the normal value serves.
NEAR_SCORE = 3.5


def hypergeometric_log10(k: Any, population: Any, marked: Any, draws: Any) -> Any:
    """log10 of the doubled smaller exact tail of the hypergeometric law, elementwise; far out, Hoeffding's bound.

    Values within 3.5 standard deviations have a p-value above 1e-4, which no share of 1e-6 can reach: their normal value
    serves. Of those beyond, the EXACT_MOST farthest are summed exactly; the others, which decide nothing beside them, get
    Hoeffding's bound (never too small), because a broken layer has hundreds of thousands of them.
    """
    k, population, marked, draws = (
        np.asarray(v, dtype=np.int64) for v in np.broadcast_arrays(k, population, marked, draws)
    )
    shape = k.shape
    k, population, marked, draws = (v.ravel() for v in (k, population, marked, draws))
    size = np.maximum(population, 1).astype(float)
    mean = draws * (marked / size)
    variance = mean * (1 - marked / size) * (population - draws) / np.maximum(size - 1, 1)
    deviation = np.abs(k - mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(variance > 0, deviation / np.sqrt(variance), np.where(deviation > 1e-9, np.inf, 0.0))
    log = np.minimum(0.0, normal_log10_sf(score) + math.log10(2))
    far = np.flatnonzero((score > NEAR_SCORE) & (population > 0))
    if len(far) > EXACT_MOST:
        order = np.argsort(-score[far], kind="stable")
        far, rest = far[order[:EXACT_MOST]], far[order[EXACT_MOST:]]
        bound = np.minimum(
            chernoff_log10(k[rest], draws[rest], marked[rest] / size[rest]),
            chernoff_log10(k[rest], marked[rest], draws[rest] / size[rest]),
        )
        log[rest] = np.minimum(0.0, bound + math.log10(2))
    for i in far:
        log[i] = _exact(int(k[i]), int(population[i]), int(marked[i]), int(draws[i]), k[i] > mean[i])
    return log.reshape(shape)


def _exact(k: int, population: int, marked: int, draws: int, upper: bool) -> float:
    """One exact tail, summed from the probabilities of the tail itself (no cancellation)."""
    top = min(marked, draws)
    bottom = max(0, marked + draws - population)
    if k > top or k < bottom:
        return -math.inf
    best = float(log_hypergeometric(k, population, marked, draws))
    if not math.isfinite(best) or best < -650:
        bound = float(chernoff_log10(k, draws, marked / population))
        other = float(chernoff_log10(k, marked, draws / population))
        return min(0.0, min(bound, other) + math.log10(2))
    # each term from the one before it; beyond the first thousands, those of a tail past 3.5 standard deviations no longer count
    rest = population - marked - draws
    if upper:
        at = np.arange(k, min(top, k + MOST_TERMS), dtype=float)
        ratios = (marked - at) * (draws - at) / ((at + 1) * (rest + at + 1))
    else:
        at = np.arange(k, max(bottom, k - MOST_TERMS), -1, dtype=float)
        ratios = at * (rest + at) / ((marked - at + 1) * (draws - at + 1))
    total = best + math.log1p(float(np.cumprod(ratios).sum()))
    return min(0.0, total * LOG10E + math.log10(2))


def position_log10(k: Any, size: Any) -> Any:
    """log10 two-sided p-value of every position: its k dropped of ``size`` coins, given the totals of all positions."""
    k = np.asarray(k, dtype=np.int64)
    size = np.broadcast_to(np.asarray(size, dtype=np.int64), k.shape)
    return hypergeometric_log10(k, int(size.sum()), int(k.sum()), size)


@lru_cache(maxsize=4096)
def position_resolution(size: int, positions: int, p: float, alpha: float, beta: float) -> float:
    """Smallest deviation of one position's rate that is missed with probability at most beta, Bonferroni over positions.

    Normal critical value of the hypergeometric law (its variance is smaller than the binomial's by 1 - 1/positions) and
    normal law under the defect, with a continuity correction of one count.
    """
    if size <= 0 or positions < 2:
        return math.inf
    shrink = math.sqrt(1 - 1 / positions)
    critical = z(alpha / 2 / positions) * math.sqrt(p * (1 - p) / size) * shrink + 1 / size
    # for small n p the exact upper critical value is Poisson-like and larger than the normal one
    upper = (_upper_count(size, p, alpha / 2 / positions) + 1) / size - p
    worst = 0.0
    for sign, limit in ((1, max(critical, upper)), (-1, critical)):
        delta = limit
        for _ in range(60):
            rate = min(1.0, max(0.0, p + sign * delta))
            delta = limit + z(beta) * math.sqrt(rate * (1 - rate) / size)
        if sign < 0 and delta >= p:
            if p <= critical:
                # a position that never drops is not noticed: only excess can be seen
                worst = max(worst, delta)
                continue
            delta = min(delta, p)
        worst = max(worst, delta)
    # what is seen is the difference from the pooled rate, which the position itself pulls along
    return min(1.0, worst / (1 - 1 / positions))


def _upper_count(n: int, p: float, tail: float) -> int:
    """The smallest count whose exact upper binomial tail is at most ``tail``."""
    low, high = int(n * p), n
    while low < high:
        middle = (low + high) // 2
        if special.betainc(middle + 1, n - middle, p) <= tail if middle < n else True:
            high = middle
        else:
            low = middle + 1
    return low


def spread(k: Any, size: Any) -> tuple[float, int, float]:
    """(G, degrees, log10 p) of the homogeneity of all positions given the total; positions merged until 20 are expected."""
    k = np.asarray(k, dtype=float).ravel()
    n = np.broadcast_to(np.asarray(size, dtype=float), k.shape).ravel()
    total, coins = k.sum(), n.sum()
    if coins <= 0 or not 0 < total < coins:
        return 0.0, 0, 0.0
    least = min(total, coins - total) / coins * n
    if least.min() < LEAST_EXPECTED:
        group = max(2, math.ceil(LEAST_EXPECTED / max(least.min(), 1e-9)))
        usable = len(k) // group * group
        if usable < 2 * group:
            return 0.0, 0, 0.0
        k = np.append(k[:usable].reshape(-1, group).sum(axis=1), k[usable:].sum() if usable < len(k) else [])
        n = np.append(n[:usable].reshape(-1, group).sum(axis=1), n[usable:].sum() if usable < len(n) else [])
        if (min(total, coins - total) / coins * n[-1]) < LEAST_EXPECTED and len(k) > 2:
            k[-2] += k[-1]
            n[-2] += n[-1]
            k, n = k[:-1], n[:-1]
    p = total / coins
    value = 0.0
    for seen, law in ((k, n * p), (n - k, n * (1 - p))):
        with np.errstate(divide="ignore", invalid="ignore"):
            value += 2 * float(np.where(seen > 0, seen * np.log(seen / law), 0.0).sum())
    degrees = len(k) - 1
    cells = 2 * len(k)
    least_cell = float(min((n * p).min(), (n * (1 - p)).min()))
    log = chi2_log10_sf(max(0.0, value), degrees) + math.log10(safe_factor(cells, least_cell))
    return max(0.0, value), degrees, min(0.0, log)


@lru_cache(maxsize=4096)
def spread_resolution(size: int, positions: int, p: float, alpha: float, beta: float) -> float:
    """Smallest common size of deviations (+-d at every position) missed with probability at most beta."""
    degrees = max(1, positions - 1)
    critical = float(special.chdtri(degrees, alpha / safe_factor(2 * positions, LEAST_EXPECTED)))
    low, high = 0.0, 16.0
    while special.chndtr(critical, degrees, high) > beta:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if special.chndtr(critical, degrees, middle) > beta else (low, middle)
    return math.sqrt(high * p * (1 - p) / (size * positions))
