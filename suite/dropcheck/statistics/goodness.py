"""Goodness of fit of counts: Pearson's chi-square for the reader, a safe G for the verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import chi2, ncx2

from dropcheck.statistics.evidence import LOG10E

LEAST_EXPECTED = 20.0


def pearson(observed: Any, expected: Any) -> tuple[float, int, float]:
    """(chi-square, degrees of freedom, p-value) as people expect it, cells below 5 expected merged; decides nothing."""
    seen, law = merge(observed, expected, 5.0)
    if len(seen) < 2:
        return 0.0, 0, 1.0
    value = float(((seen - law) ** 2 / law).sum())
    return value, len(seen) - 1, float(chi2.sf(value, len(seen) - 1))


def merge(observed: Any, expected: Any, least: float) -> tuple[Any, Any]:
    """Cells with at least ``least`` expected; all others together as one cell, or added to the smallest if still short."""
    seen, law = np.asarray(observed, dtype=float).ravel(), np.asarray(expected, dtype=float).ravel()
    big = law >= least
    kept, kept_law = seen[big], law[big]
    rest, rest_law = float(seen[~big].sum()), float(law[~big].sum())
    if rest_law >= least:
        return np.append(kept, rest), np.append(kept_law, rest_law)
    if len(kept) and (rest_law > 0 or rest > 0):
        smallest = int(np.argmin(kept_law))
        kept, kept_law = kept.copy(), kept_law.copy()
        kept[smallest] += rest
        kept_law[smallest] += rest_law
    return kept, kept_law


def safe_factor(cells: int, least_expected: float) -> float:
    """How much the real tail of G at 1e-8 can exceed chi-square's (statistics.md: simulated and computed there)."""
    if least_expected >= 100:
        return 1.6 if cells <= 4096 else 2.0
    if cells <= 256:
        return 2.0
    return 3.5 if cells <= 1024 else 10.0


def g_test(observed: Any, expected: Any) -> tuple[float, int, float]:
    """(G, degrees of freedom, log10 p) with cells below 20 expected merged and the p-value times a safe factor.

    Degrees are cells - 1, not lowered for rates estimated from the same coins: that errs on the side of passing.
    """
    seen, law = merge(observed, expected, LEAST_EXPECTED)
    if len(seen) < 2:
        return 0.0, 0, 0.0
    law = law * (seen.sum() / law.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(seen > 0, seen * np.log(seen / law), 0.0)
    value = max(0.0, 2.0 * float(terms.sum()))
    degrees = len(seen) - 1
    log = chi2_log10_sf(value, degrees) + math.log10(safe_factor(len(seen), float(law.min())))
    return value, degrees, min(0.0, log)


def chi2_log10_sf(value: float, degrees: int) -> float:
    """log10 of the upper tail of chi-square; beyond the doubles, its Chernoff bound."""
    if value <= degrees:
        return float(chi2.logsf(value, degrees) * LOG10E)
    exact = float(chi2.logsf(value, degrees) * LOG10E)
    if math.isfinite(exact) and exact > -290:
        return exact
    # Chernoff: exp(-(x - k - k log(x/k))/2)
    return -(value - degrees - degrees * math.log(value / degrees)) / 2 * LOG10E


def product_law(p: Any) -> Any:
    """Probabilities of the 2^k patterns of k independent coins; bit i of the index: channel i dropped."""
    law = np.ones(1)
    for rate in np.asarray(p, dtype=float):
        law = np.concatenate([law * (1 - rate), law * rate])
    return law


def g_resolution(n: int, cells: int, alpha: float, beta: float) -> float:
    """Smallest effect size w = sqrt(noncentrality / n) (Cohen 1988, 7.2) missed with probability at most beta."""
    degrees = max(1, cells - 1)
    critical = float(chi2.isf(alpha / safe_factor(cells, LEAST_EXPECTED), degrees))
    low, high = 0.0, 16.0
    while ncx2.cdf(critical, degrees, high) > beta:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        if ncx2.cdf(critical, degrees, middle) > beta:
            low = middle
        else:
            high = middle
    return math.sqrt(high / max(1, n))
