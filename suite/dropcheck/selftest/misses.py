"""Probabilities of a miss at beta 1e-6 where the law is known: sums over all counts, and weighted tables of a pair."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import binom, hypergeom

from dropcheck.contract.cases import parse_case
from dropcheck.judge.checks.base import BETA
from dropcheck.selftest.plants import Draws
from dropcheck.selftest.simulated import generator, named
from dropcheck.statistics import association, binomial, homogeneity


def exact(draws: int, seed: int) -> list[dict[str, Any]]:
    """Misses at beta 1e-6 where the law is known: sums, and one importance-sampled table."""
    found = []
    check = named("rate.marginal")
    for text in ("rate=0.3 8,17,3 calls=64", "rate=0.1 1025,65,4 calls=7", "rate=0.01 1025,65,4 calls=7"):
        case = parse_case(f"float32 {text}")
        alpha = check.limits("quick", case).alpha
        size = binomial.resolution(case.coins, case.rate, alpha, BETA)
        for sign in (1, -1):
            if 0 < case.rate + sign * size < 1:
                miss = marginal_miss(case.coins, case.rate, alpha, case.rate + sign * size)
                found.append(_exact_row(check.name, f"rate {'more' if sign > 0 else 'less'}", text, size, miss))
    for coins in (3537, 100_000):
        eps = binomial.zero_tolerance_resolution(coins, BETA)
        miss = math.exp(coins * math.log1p(-eps))
        found.append(
            _exact_row("mask.whole-channels", "a share of channels is dropped in part", f"{coins} decisions", eps, miss)
        )
    check = named("rate.per-channel")
    for positions, coins, p in ((17, 512, 0.3), (64, 1000, 0.1)):
        alpha = check.limits("quick").alpha / 2
        size = homogeneity.position_resolution(coins, positions, p, alpha, BETA)
        for sign in (1, -1):
            if not 0 <= p + sign * size <= 1:
                continue
            miss = position_miss(coins, positions, p, sign * size, alpha)
            words = f"one channel {'more' if sign > 0 else 'less'}"
            found.append(_exact_row(check.name, words, f"{positions} x {coins} decisions, rate {p:g}", size, miss))
    check = named("mask.independent-channels")
    for channels, rows, p in ((9, 1024, 0.3), (64, 16_448, 0.1), (16, 512, 0.5)):
        tests = channels * (channels - 1) // 2
        alpha = check.limits("quick").alpha / 2 / tests
        size = association.correlation_resolution(rows, p, alpha, BETA)
        for sign in (1, -1):
            if sign < 0 and size >= p / (1 - p):
                continue  # coins of this rate cannot be so far apart
            miss, error = pair_miss(rows, p, sign * size, alpha, draws, generator(seed, "pair", rows, sign))
            words = f"one pair tied, {'more' if sign > 0 else 'less'}"
            found.append(
                _exact_row(check.name, words, f"{channels} channels, {rows} rows, rate {p:g}", size, miss, error)
            )
    return found


def _exact_row(check: str, plant: str, case: str, size: float, miss: float, error: float = 0.0) -> dict[str, Any]:
    return {
        "check": check,
        "plant": plant,
        "case": case,
        "beta": BETA,
        "resolution": float(size),
        "miss": float(miss),
        "error": float(error),
    }


def marginal_miss(n: int, p: float, alpha: float, rate: float) -> float:
    """P(the doubled binomial tail stays above alpha) under another rate, summed over all counts."""
    k = np.arange(n + 1)
    tail = np.where(k >= n * p, binom.sf(k - 1, n, p), binom.cdf(k, n, p))
    return float(binom.pmf(k, n, rate)[2 * tail > alpha].sum())


def position_miss(size: int, positions: int, p: float, deviation: float, alpha: float) -> float:
    """P(a position's hypergeometric p-value, times the positions, stays above alpha), summed over it and all others."""
    others = (positions - 1) * size
    spread = math.sqrt(others * p * (1 - p))
    rest = np.arange(max(0, int(others * p - 9 * spread)), min(others, int(others * p + 9 * spread)) + 1)
    law, total = binom.pmf(rest, others, p), 0.0
    for r, weight in zip(rest, law, strict=True):
        low, high = 0, size  # the count at which it is noticed, by bisection: evidence grows with the distance

        def noticed(k: int, r: int = int(r)) -> bool:
            marked = k + r
            tail = (
                hypergeom.sf(k - 1, positions * size, marked, size)
                if deviation > 0
                else hypergeom.cdf(k, positions * size, marked, size)
            )
            return bool(2 * tail * positions <= alpha)

        while low < high:
            middle = (low + high) // 2
            if deviation > 0:
                low, high = (low, middle) if noticed(middle) else (middle + 1, high)
            else:
                low, high = (middle + 1, high) if noticed(middle) else (low, middle)
        if deviation > 0:
            total += weight * float(binom.cdf(low - 1, size, p + deviation))
        else:
            total += weight * float(binom.sf(low - 1, size, p + deviation))
    return total


def pair_miss(n: int, p: float, rho: float, alpha: float, draws: int, rng: Draws) -> tuple[float, float]:
    """P(Fisher's p-value stays above alpha) and its standard error; tables drawn at a smaller correlation, weighted back."""

    def law(r: float) -> Any:
        both = p * p + r * p * (1 - p)
        return np.array([both, p - both, p - both, 1 - 2 * p + both])

    def log10_p(both: Any, one: Any, two: Any) -> Any:
        # one table at a time: of many at once only the farthest few are summed exactly
        return np.array([float(association.association_many(n, *v)) for v in zip(one, two, both, strict=True)])

    low, high = 0.0, abs(rho)
    for _ in range(30):  # the correlation whose mean table stands at the edge
        middle = (low + high) / 2
        mean = n * law(math.copysign(middle, rho))
        edge = log10_p([round(mean[0])], [round(n * p)], [round(n * p)])[0] > math.log10(alpha)
        low, high = (middle, high) if edge else (low, middle)
    near, far = law(math.copysign(low, rho)), law(rho)
    some = min(draws, 20_000)
    tables = rng.multinomial(n, near, some)
    logs = log10_p(tables[:, 0], tables[:, 0] + tables[:, 1], tables[:, 0] + tables[:, 2])
    weights = np.exp((tables * np.log(far / near)).sum(axis=1)) * (logs > math.log10(alpha))
    return float(weights.mean()), float(weights.std() / math.sqrt(some))
