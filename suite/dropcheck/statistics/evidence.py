"""Shared words of evidence: log10 probabilities, Bonferroni, normal quantiles, and the Chernoff bound of a binomial."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

LOG10E = math.log10(math.e)


# scipy.special is called directly: the distribution objects of scipy.stats spend most of a call on checking arguments,
# and a verdict needs thousands of calls.


@lru_cache(maxsize=4096)
def z(alpha: float) -> float:
    """Upper normal quantile: P(Z > z) = alpha."""
    return float(-special.ndtri(alpha))


def log_choose(n: Any, k: Any) -> Any:
    """log of n over k, elementwise, from the log-beta function, which keeps the digits that log-gammas lose."""
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    return -special.betaln(n - k + 1, k + 1) - np.log1p(n)


def log_hypergeometric(k: Any, population: Any, marked: Any, draws: Any) -> Any:
    """log of the probability of k marked among ``draws`` of a population, elementwise."""
    return log_choose(marked, k) + log_choose(population - marked, draws - k) - log_choose(population, draws)


def normal_log10_sf(score: Any) -> Any:
    """log10 P(Z > score)."""
    return special.log_ndtr(-np.asarray(score, dtype=float)) * LOG10E


def bonferroni(log10_p: Any, tests: int) -> float:
    """log10 of the smallest p-value times the number of tests, at most 0; valid under any dependence."""
    values = np.atleast_1d(np.asarray(log10_p, dtype=float))
    if not values.size:
        return 0.0
    return float(min(0.0, values.min() + math.log10(max(1, tests))))


def divergence(a: Any, p: Any) -> Any:
    """KL divergence of Bernoulli(a) from Bernoulli(p), in nats; 0 log 0 = 0, inf where impossible."""
    a, p = np.asarray(a, dtype=float), np.asarray(p, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(a > 0, a * np.log(a / p), 0.0)
        two = np.where(a < 1, (1 - a) * np.log((1 - a) / (1 - p)), 0.0)
    return one + two


def chernoff_log10(k: Any, n: Any, p: Any) -> Any:
    """log10 of Chernoff's bound exp(-n KL(k/n, p)) of the tail beyond k (Hoeffding 1963, theorem 1): never too small."""
    n = np.asarray(n, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(n > 0, np.asarray(k, dtype=float) / np.maximum(n, 1), 0.0)
    return -n * divergence(share, p) * LOG10E


def least_convex(slopes: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Where a convex function is least in [low, high], from its first and second derivative: Newton's steps, else bisection.

    Chernoff's bound holds at any point, so that a minimum missed by some digits only makes a p-value larger.
    scipy.optimize finds the same; its import alone takes longer than all bounds of an audit.
    """
    point = 0.0 if low <= 0 <= high else (low + high) / 2
    for _ in range(200):
        slope, curvature = slopes(point)
        if slope == 0:
            return point
        low, high = (low, point) if slope > 0 else (point, high)
        step = point - slope / curvature if curvature > 0 else math.nan
        # a step that leaves the interval, or that ends at one of its ends, is halved instead
        following = step if low < step < high else (low + high) / 2
        if abs(following - point) <= 1e-9 * max(abs(low), abs(high)):
            return following
        point = following
    return point
