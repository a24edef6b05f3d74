"""Dependence given the margins: the exact conditional Cochran-Mantel-Haenszel test over 2 x 2 tables."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from dropcheck.statistics.evidence import LOG10E, least_convex, log_hypergeometric, normal_log10_sf, z
from dropcheck.statistics.homogeneity import hypergeometric_log10

# Below this score a p-value is above 2e-3: no share of 1e-6 can reach it, so the normal value serves.
PLAIN_SCORE = 3.0
FAR_SCORE = 9.0
# Absolute error of the FFT of probabilities; tails below FFT_FLOOR are bounded instead.
FFT_ERROR = 1e-13
FFT_FLOOR = 1e-11


def _tables(n: Any, a: Any, b: Any, both: Any) -> tuple[Any, Any, Any, Any]:
    return tuple(np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (n, a, b, both))  # type: ignore[return-value]


def _moments(n: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Mean and variance of the joint drops of each table given its margins (hypergeometric)."""
    size = np.maximum(n, 1)
    mean = a * b / size
    variance = mean * (1 - a / size) * (n - b) / np.maximum(n - 1, 1)
    return mean, variance


def log10_association(n: Any, a: Any, b: Any, both: Any) -> tuple[float, float]:
    """One-sided log10 p-values (fewer joint drops than independent, more) of the sum over strata given all margins.

    n pairs, margins a and b, joint drops ``both``; one table a stratum. The sum of independent hypergeometric counts:
    its exact law by FFT of their probabilities (absolute error below 1e-13, added to the p-value); tails below 1e-11 by
    Chernoff's bound with the binomial generating function, which dominates the hypergeometric one (Hoeffding 1963,
    theorem 4). Where the normal score is below 3 its normal value is returned: it can gate nothing.
    """
    n, a, b, both = _tables(n, a, b, both)
    mean, variance = _moments(n, a, b)
    live = variance > 0
    if not live.any():
        return 0.0, 0.0
    n, a, b, both, mean, variance = (v[live] for v in (n, a, b, both, mean, variance))
    excess = float((both - mean).sum())
    deviation = math.sqrt(float(variance.sum()))
    score = excess / deviation
    if abs(score) < PLAIN_SCORE:
        return float(normal_log10_sf(-score)), float(normal_log10_sf(score))
    upper = excess > 0
    if abs(score) > FAR_SCORE:
        # far beyond what the FFT resolves; a broken layer would spend minutes here
        log = max(_bound(n, a, b, both, upper), -1e9)
        return (0.0, log) if upper else (log, 0.0)
    tail = _fft_tail(n, a, b, both, upper)
    log = math.log10(tail + FFT_ERROR) if tail > FFT_FLOOR else max(_bound(n, a, b, both, upper), -1e9)
    if tail <= FFT_FLOOR:
        log = min(log, math.log10(FFT_FLOOR + FFT_ERROR))
    return (0.0, min(0.0, log)) if upper else (min(0.0, log), 0.0)


def two_sided(n: Any, a: Any, b: Any, both: Any) -> float:
    """log10 of the doubled smaller tail."""
    return min(0.0, min(log10_association(n, a, b, both)) + math.log10(2))


def log10_two_sided_groups(n: Any, a: Any, b: Any, both: Any, starts: Any) -> Any:
    """``two_sided`` of several groups of tables at once, each from one of ``starts`` to the next: (groups,).

    The normal scores of all groups come from one pass; only those above 3, one in 370 of a correct layer, are computed
    group by group.
    """
    n, a, b, both = _tables(n, a, b, both)
    starts = np.asarray(starts, dtype=np.int64)
    if not len(starts):
        return np.zeros(0)
    mean, variance = _moments(n, a, b)
    mean, seen = np.where(variance > 0, mean, 0.0), np.where(variance > 0, both, 0.0)
    variance = np.add.reduceat(np.maximum(variance, 0.0), starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.nan_to_num(np.abs(np.add.reduceat(seen - mean, starts)) / np.sqrt(variance))
    logs = np.minimum(0.0, normal_log10_sf(score) + math.log10(2))
    ends = np.append(starts[1:], len(n))
    for i in np.flatnonzero(score >= 0.999 * PLAIN_SCORE):
        group = slice(int(starts[i]), int(ends[i]))
        logs[i] = two_sided(n[group], a[group], b[group], both[group])
    return logs


def _fft_tail(n: Any, a: Any, b: Any, both: Any, upper: bool) -> float:
    """P(sum >= observed) or P(sum <= observed), from the product of the tables' characteristic functions."""
    mean, variance = _moments(n, a, b)
    centre = np.rint(mean)
    total = float((both - centre).sum())
    spread = math.sqrt(float(variance.sum()))
    half = int(max(abs(total), 0) + 9 * spread + 9 * math.sqrt(float(variance.max())) + 40)
    length = 1 << (2 * half + 1).bit_length()
    product = np.ones(length // 2 + 1, dtype=np.complex128)
    for i in range(len(n)):
        reach = int(10 * math.sqrt(variance[i]) + 30)
        low = int(max(0, a[i] + b[i] - n[i], centre[i] - reach))
        high = int(min(a[i], b[i], centre[i] + reach))
        k = np.arange(low, high + 1, dtype=np.float64)
        logs = _log_pmf(k, n[i], a[i], b[i])
        ring = np.zeros(length)
        ring[(k - centre[i]).astype(np.int64) % length] = np.exp(logs)  # fewer values than places: none falls twice
        product *= np.fft.rfft(ring)
    law = np.maximum(np.fft.irfft(product, length), 0.0)
    values = np.fft.fftfreq(length, 1 / length).round().astype(np.int64)
    chosen = values >= total if upper else values <= total
    return float(np.sort(law[chosen]).sum())


def _log_pmf(k: Any, n: float, a: float, b: float) -> Any:
    """Hypergeometric log probabilities."""
    logs = log_hypergeometric(k, n, a, b)
    # at n of 10^7 differences of logarithms lose some digits: the law is made to add up to 1 again
    best = logs.max()
    return logs - best - math.log(float(np.exp(logs - best).sum()))


def _bound(n: Any, a: Any, b: Any, both: Any, upper: bool) -> float:
    """log10 of min over t of exp(-t S) prod E exp(t X_i), the binomial moment generating function in place of each X_i."""
    small, large = np.minimum(a, b), np.maximum(a, b)
    rate = large / n
    target = float(both.sum())

    def slopes(t: float) -> tuple[float, float]:
        odds = rate * math.exp(t)
        share = odds / (1 - rate + odds)
        return float((small * share).sum()) - target, float((small * share * (1 - share)).sum())

    t = least_convex(slopes, *((0.0, 12.0) if upper else (-12.0, 0.0)))
    best = float((small * np.log1p(rate * math.expm1(t))).sum() - t * target)
    return min(0.0, best) * LOG10E


def association_many(n: Any, a: Any, b: Any, both: Any) -> Any:
    """Two-sided log10 p-values of many single 2 x 2 tables: exact (Fisher's conditional law) wherever it can matter."""
    return hypergeometric_log10(both, n, a, b)


def correlation(n: Any, a: Any, b: Any, both: Any) -> float:
    """Pooled phi coefficient: sum of (joint - expected) over sum of n sqrt(pa qa pb qb)."""
    n, a, b, both = _tables(n, a, b, both)
    size = np.maximum(n, 1)
    pa, pb = a / size, b / size
    scale = float((n * np.sqrt(pa * (1 - pa) * pb * (1 - pb))).sum())
    return float((both - a * b / size).sum()) / scale if scale > 0 else 0.0


@lru_cache(maxsize=4096)
def correlation_resolution(pairs: float, p: float, alpha: float, beta: float) -> float:
    """Smallest |correlation| of pairs of rate p that is missed with probability at most beta.

    Critical value of the conditional law; where joint drops are rare, of the binomial law that dominates it (Hoeffding
    1963, theorem 4: n p draws of rate p), whose upper tail is Poisson-like. The spread under the defect comes from
    pi11 = p^2 + rho p q.
    """
    if pairs <= 0 or not 0 < p < 1:
        return math.inf
    scale = p * (1 - p)
    critical = z(alpha / 2) * scale / math.sqrt(pairs)
    # where joint drops are rare the upper tail is heavier than normal
    if pairs * p * p < 2000:
        draws = pairs * p
        low, high = pairs * p * p, draws
        for _ in range(60):
            middle = (low + high) / 2
            if float(special.betainc(max(middle, 1e-9), draws - middle + 1, p)) > alpha / 2:
                low = middle
            else:
                high = middle
        critical = max(critical, (high - pairs * p * p) / pairs)
    rho = critical / scale
    for _ in range(25):
        joint = min(1.0, p * p + min(rho, 1.0) * scale)
        # given the margins, the spread of the joint drops is that of scale, not of joint, when rho is small
        spread = min(joint * (1 - joint), scale * scale + max(0.0, joint - p * p))
        rho = (critical + z(beta) * math.sqrt(spread / pairs)) / scale
    return min(rho, 1.0) if rho < 1 else 1.0
