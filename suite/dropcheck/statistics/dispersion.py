"""The law of the number of dropped channels per row: neither clumped nor rationed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.statistics.binomial import log10_two_sided_many
from dropcheck.statistics.evidence import LOG10E, least_convex, z
from dropcheck.statistics.goodness import g_test


def poisson_binomial(p: Any) -> Any:
    """Probabilities of 0..C drops of C independent coins with rates p, by convolution in pairs: (C + 1,)."""
    rates = np.asarray(p, dtype=float).ravel()
    if not len(rates):
        return np.ones(1)
    laws = np.stack([1 - rates, rates], axis=1)
    while len(laws) > 1:
        if len(laws) % 2:  # a coin that never drops changes nothing
            laws = np.concatenate([laws, np.eye(1, laws.shape[1])])
        laws = _convolved(laws[::2], laws[1::2])
    return np.clip(laws[0, : len(rates) + 1], 0.0, 1.0)


def _convolved(one: Any, two: Any) -> Any:
    """Row by row: (rows, n) and (rows, n) to (rows, 2 n - 1)."""
    rows, width = one.shape
    if rows < width:
        return np.stack([np.convolve(a, b) for a, b in zip(one, two, strict=True)])
    law = np.zeros((rows, 2 * width - 1))
    for k in range(width):
        law[:, k : k + width] += one * two[:, k : k + 1]
    return law


def _orthogonal(p: Any) -> tuple[Any, float, float]:
    """The statistic of one row as a function of its number of drops d, its mean, and the mean of d.

    y(d) = (d - mu)^2 - slope (d - mu) with slope = sum pq(1-2p) / sum pq. The derivative of E y by any common shift of the
    rates is sum (1-2p) - slope C = 0 to first order at the rates themselves, so that putting measured rates for true ones
    changes the law of sum y only in second order (Neyman's orthogonal score).
    """
    p = np.asarray(p, dtype=float)
    mu = float(p.sum())
    pq = p * (1 - p)
    variance = float(pq.sum())
    slope = float((pq * (1 - 2 * p)).sum()) / variance if variance > 0 else 0.0
    d = np.arange(len(p) + 1) - mu
    return d * d - slope * d, variance, mu


def log10_dispersion(histogram: Any, p: Any) -> tuple[float, float, float]:
    """(log10 p of too little spread, log10 p of too much, variance ratio) of the drops per row.

    ``histogram``: rows with 0..C drops. Chernoff's bound, inf over t of exp(-t T) E[exp(t y)]^rows, from the exact law.
    """
    counts = np.asarray(histogram, dtype=float)
    rows = float(counts.sum())
    values, variance, _ = _orthogonal(p)
    if rows <= 0 or variance <= 0:
        return 0.0, 0.0, 1.0
    total = float((counts * values).sum())
    with np.errstate(divide="ignore"):
        law = np.log(poisson_binomial(p))
    ratio = total / (rows * variance)

    def tilted(t: float) -> tuple[Any, float]:
        weights = law + t * values
        top = float(weights.max())
        weights = np.exp(weights - top)
        return weights, top

    def slopes(t: float) -> tuple[float, float]:
        weights, _ = tilted(t)
        weights = weights / weights.sum()
        mean = float(weights @ values)
        return rows * mean - total, rows * float(weights @ (values - mean) ** 2)

    upper = total > rows * variance
    reach = 500.0 / max(variance, 1e-12)  # in units of the statistic's own spread; the least value may lie at infinity
    t = least_convex(slopes, *((0.0, reach) if upper else (-reach, 0.0)))
    weights, top = tilted(t)
    best = rows * (top + math.log(float(weights.sum()))) - t * total
    log = min(0.0, best * LOG10E)
    return (0.0, log, ratio) if upper else (log, 0.0, ratio)


def dispersion_resolution(rows: int, p: Any, alpha: float, beta: float) -> float:
    """Smallest mean pair correlation that is missed with probability at most beta; variance ratio 1 + (C - 1) rho.

    Normal law of the statistic with its exact variance; Chernoff's bound costs about log(z sqrt(2 pi)) in the exponent,
    which the critical value includes.
    """
    values, variance, _ = _orthogonal(p)
    channels = len(np.asarray(p).ravel())
    if rows <= 0 or variance <= 0 or channels < 2:
        return math.inf
    law = poisson_binomial(p)
    spread = math.sqrt(max(0.0, float((law * values**2).sum()) - variance**2))
    critical = math.sqrt(2 * math.log(1 / alpha))  # Chernoff's exponent z^2 / 2 reaches log(1 / alpha) here
    excess = critical * spread / math.sqrt(rows)
    # skewness of the statistic: its upper tail is that of a gamma law; second-order Cornish-Fisher term
    third = float((law * (values - variance) ** 3).sum()) / max(spread, 1e-12) ** 3
    excess *= 1 + max(0.0, third) * critical / (6 * math.sqrt(rows))
    ratio = 1 + excess / variance
    for _ in range(50):
        ratio = 1 + (excess + z(beta) * spread * ratio / math.sqrt(rows)) / variance
        if ratio > 1e6:
            return math.inf
    return (ratio - 1) / (channels - 1)


def log10_count_law(histogram: Any, p: Any) -> tuple[float, int, float]:
    """(G, degrees, log10 p) of the histogram of drops per row against the Poisson-binomial law."""
    counts = np.asarray(histogram, dtype=float)
    return g_test(counts, poisson_binomial(p) * counts.sum())


def log10_extremes(histogram: Any, p: Any) -> tuple[float, int, bool]:
    """(log10 p, rows, whether they drop everything) of rows whose coins all fell alike, where there are too many of them.

    The number of rows that are kept whole is binomial with the product of all q, that of rows dropped whole with the product
    of all p; the tails are exact. Measured rates stand for true ones: each product is taken eight standard deviations of its
    logarithm too large, so that the bound holds with probability 1 - 10^-15. Words of such rows cannot tell a copy from a
    rate of a row's own, so that this alone sees a layer that skips rows or calls now and then.
    """
    counts, rates = np.asarray(histogram, dtype=np.int64), np.asarray(p, dtype=float).ravel()
    rows = int(counts.sum())
    worst = (0.0, 0, False)
    if rows <= 0 or not ((rates > 0) & (rates < 1)).all():
        return worst
    for alike, seen, everything in ((1 - rates, int(counts[0]), False), (rates, int(counts[-1]), True)):
        slack = 8 * math.sqrt(float(((1 - alike) / alike).sum()) / rows)
        chance = math.exp(min(0.0, float(np.log(alike).sum()) + slack))
        if seen > rows * chance:
            log = float(log10_two_sided_many(seen, rows, chance)) + math.log10(2)
            worst = min(worst, (min(0.0, log), seen, everything))
    return worst
