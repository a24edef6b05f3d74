"""One rate: the exact binomial test, its interval, the deviation that it resolves, and the coins that it needs."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from dropcheck.statistics.evidence import chernoff_log10, z


def _tail_log10(k: Any, n: Any, p: Any, upper: bool) -> Any:
    """log10 P(X >= k) or P(X <= k), exact; where it underflows, Chernoff's bound, which is never too small."""
    k, n, p = np.asarray(k, dtype=float), np.asarray(n, dtype=float), np.asarray(p, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        if upper:  # P(X >= k) = I_p(k, n - k + 1)
            tail = np.where(k <= 0, 1.0, special.betainc(np.maximum(k, 1e-300), n - k + 1, p))
        else:  # P(X <= k) = I_{1-p}(n - k, k + 1)
            tail = np.where(k >= n, 1.0, special.betainc(np.maximum(n - k, 1e-300), k + 1, 1 - p))
        exact = np.log10(tail)
    bound = np.asarray(chernoff_log10(k, n, p))
    # near the smallest double the tail is 0 or noise
    return np.where(np.isfinite(exact) & (exact > -290), exact, np.minimum(bound, 0.0))


def log10_two_sided_many(k: Any, n: Any, p: Any) -> Any:
    """log10 of the doubled smaller exact tail, for arrays; 0 where nothing can be said (n = 0)."""
    k, n, p = np.broadcast_arrays(np.asarray(k), np.asarray(n), np.asarray(p, dtype=float))
    above = k >= n * p
    tail = np.where(above, _tail_log10(k, n, p, True), _tail_log10(k, n, p, False))
    return np.where(n > 0, np.minimum(0.0, tail + math.log10(2)), 0.0)


def log10_two_sided(k: int, n: int, p: float) -> float:
    """log10 of the doubled smaller exact binomial tail, at most 0. -inf only where the count is impossible."""
    return float(log10_two_sided_many(k, n, p))


def log10_outside(k: int, n: int, p: float, delta0: float = 0.0) -> float:
    """Evidence against |theta - p| <= delta0: the larger of the p-values over the tolerated rates, log10.

    With delta0 > 0 only the tail beyond the nearer end of the tolerated range counts, still doubled.
    """
    if n <= 0:
        return 0.0
    low, high = max(0.0, p - delta0), min(1.0, p + delta0)
    share = k / n
    if delta0 > 0 and low <= share <= high:
        return 0.0
    if share > high or (delta0 == 0 and share >= p):
        return float(min(0.0, _tail_log10(k, n, high, True) + math.log10(2)))
    return float(min(0.0, _tail_log10(k, n, low, False) + math.log10(2)))


def clopper_pearson(k: int, n: int, alpha: float) -> tuple[float, float]:
    """Exact two-sided interval of level 1 - alpha (Clopper and Pearson 1934)."""
    return one_sided(k, n, alpha / 2)


def one_sided(k: int, n: int, beta: float) -> tuple[float, float]:
    """Lower and upper exact bounds, each of one-sided level beta."""
    if n <= 0:
        return 0.0, 1.0
    low = 0.0 if k <= 0 else float(special.betaincinv(k, n - k + 1, beta))
    high = 1.0 if k >= n else float(special.betainccinv(k + 1, n - k, beta))
    return low, high


def _quantile(tail: float, n: int, p: float) -> int:
    """About the smallest count k with P(X <= k) >= tail."""
    if not 0 < p < 1:
        return 0 if p <= 0 else n
    k = float(special.bdtrik(tail, n, p))
    if not math.isfinite(k):
        k = n * p - z(tail) * math.sqrt(n * p * (1 - p))
    return min(n, max(0, math.ceil(k)))


def acceptance(n: int, p: float, alpha: float, delta0: float = 0.0) -> tuple[int, int]:
    """Counts that do not fail, inclusive; consistent with ``log10_outside(k, n, p, delta0) > log10(alpha)``."""
    target = math.log10(alpha)

    def fine(k: int) -> bool:
        return log10_outside(k, n, p, delta0) > target

    low_rate, high_rate = max(0.0, p - delta0), min(1.0, p + delta0)
    low = _quantile(alpha / 2, n, low_rate)
    high = n - _quantile(alpha / 2, n, 1 - high_rate)
    # the quantiles are right to within a count or two; the decision itself is the judge
    while low > 0 and fine(low - 1):
        low -= 1
    while low < n and not fine(low):
        low += 1
    while high < n and fine(high + 1):
        high += 1
    while high > 0 and not fine(high):
        high -= 1
    return low, high


@lru_cache(maxsize=4096)
def resolution(n: int, p: float, alpha: float, beta: float, delta0: float = 0.0) -> float:
    """The smallest deviation of the rate, in either direction, that is accepted with probability at most beta.

    Exact, by bisection of the binomial. A direction in which the rate cannot be that far off is left out; inf where
    neither direction can be resolved.
    """
    if n <= 0:
        return math.inf
    low, high = acceptance(n, p, alpha, delta0)

    def missed(rate: float) -> float:
        above = 0.0 if high >= n else float(special.betainc(high + 1, n - high, rate))
        below = 0.0 if low <= 0 else float(special.betainc(n - low + 1, low, 1 - rate))
        # the smaller side first: 1 - (nearly 1) would lose the digits that beta asks for
        if above > 0.5:
            return float(special.betaincc(high + 1, n - high, rate)) - below
        if below > 0.5:
            return float(special.betaincc(n - low + 1, low, 1 - rate)) - above
        return 1.0 - above - below

    sides = []
    for end in (0.0, 1.0):
        room = abs(end - p)
        if room <= delta0:
            continue
        if missed(end) > beta:
            # the whole side is accepted (too few coins), or its end is so near that nothing lies beyond it
            sides.append(math.inf)
            continue
        near, far = delta0, room
        for _ in range(60):
            middle = (near + far) / 2
            if missed(p + math.copysign(middle, end - p)) <= beta:
                far = middle
            else:
                near = middle
        sides.append(far)
    if not sides:
        return math.inf
    return max(sides)


def coins_needed(p: float, delta1: float, alpha: float, beta: float, delta0: float = 0.0) -> int:
    """Coins (within 1 % of the fewest) whose resolution is ``delta1`` or finer.

    Starts from (z(alpha/2) sqrt(pq) + z(beta) sqrt(p'q'))^2 / (delta1 - delta0)^2, p' the rate under the defect.
    """
    worst = 16.0
    for rate in (p - delta1, p + delta1):
        if 0 <= rate <= 1:
            root = z(alpha / 2) * math.sqrt(p * (1 - p)) + z(beta) * math.sqrt(rate * (1 - rate))
            worst = max(worst, (root / (delta1 - delta0)) ** 2)
    low, high = 1, int(worst)
    while resolution(high, p, alpha, beta, delta0) > delta1:
        low, high = high, int(high * 1.3) + 1
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        if resolution(middle, p, alpha, beta, delta0) <= delta1:
            high = middle
        else:
            low = middle
    return high


def zero_tolerance_coins(eps: float, beta: float) -> int:
    """Coins after which an event of probability eps has escaped with probability at most beta: ln(1/beta)/eps."""
    return math.ceil(math.log(1 / beta) / -math.log1p(-eps)) if eps < 1 else 1


def zero_tolerance_resolution(n: int, beta: float) -> float:
    """The smallest event probability that escapes n coins with probability at most beta."""
    return -math.expm1(-math.log(1 / beta) / n) if n > 0 else 1.0
