"""Goodness of fit of counts: Pearson's chi-square for the reader, a safe G for the verdict."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from dropcheck.statistics.evidence import LOG10E

LEAST_EXPECTED = 20.0
_SMALLEST = 1e-290  # a tail that a double still holds to all its digits


def pearson(observed: Any, expected: Any) -> tuple[float, int, float]:
    """(chi-square, degrees of freedom, p-value) as people expect it, cells below 5 expected merged; decides nothing."""
    seen, law = merge(observed, expected, 5.0)
    if len(seen) < 2:
        return 0.0, 0, 1.0
    value = float(((seen - law) ** 2 / law).sum())
    return value, len(seen) - 1, float(special.chdtrc(len(seen) - 1, value))


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


def g_many(observed: Any, expected: Any) -> tuple[Any, Any, Any]:
    """``g_test`` of every row of (tests, cells) at once: arrays of G, degrees and log10 p."""
    seen, law = np.asarray(observed, dtype=float), np.asarray(expected, dtype=float)
    law = law * (seen.sum(axis=1) / np.maximum(law.sum(axis=1), 1e-300))[:, None]
    big = law >= LEAST_EXPECTED
    rest, rest_law = np.where(big, 0, seen).sum(axis=1), np.where(big, 0, law).sum(axis=1)
    own = rest_law >= LEAST_EXPECTED  # the rest is a cell of its own; else it joins the smallest large cell
    smallest = np.argmin(np.where(big, law, np.inf), axis=1)
    row = np.arange(len(seen))
    some = big.any(axis=1)
    seen, law = np.where(big, seen, 0.0), np.where(big, law, 0.0)
    join = some & ~own
    seen[row[join], smallest[join]] += rest[join]
    law[row[join], smallest[join]] += rest_law[join]
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 2 * np.where(seen > 0, seen * np.log(seen / law), 0.0).sum(axis=1)
        value += np.where(own & (rest > 0), 2 * rest * np.log(rest / rest_law), 0.0)
    cells = big.sum(axis=1) + own
    least = np.where(law > 0, law, np.inf).min(axis=1)
    least = np.where(own, np.minimum(least, rest_law), least)
    degrees = np.maximum(cells - 1, 0)
    value = np.where(degrees > 0, np.maximum(value, 0.0), 0.0)
    tails = special.chdtrc(np.maximum(degrees, 1), value)
    with np.errstate(divide="ignore"):
        logs = np.log10(tails)
    for i in np.flatnonzero(tails <= _SMALLEST):
        logs[i] = chi2_log10_sf(float(value[i]), int(degrees[i]))
    kinds = {(c, wide): math.log10(safe_factor(c, 100 if wide else 0)) for c in set(cells.tolist()) for wide in (0, 1)}
    logs += [kinds[kind] for kind in zip(cells.tolist(), (least >= 100).tolist(), strict=True)]
    return value, degrees, np.where(degrees > 0, np.minimum(0.0, logs), 0.0)


def chi2_log10_sf(value: float, degrees: int) -> float:
    """log10 of the upper tail of chi-square; beyond the doubles, its Chernoff bound."""
    tail = float(special.chdtrc(degrees, value))
    if tail > _SMALLEST:
        return math.log10(tail)
    # Chernoff: exp(-(x - k - k log(x/k))/2)
    return -(value - degrees - degrees * math.log(value / degrees)) / 2 * LOG10E


def product_law(p: Any) -> Any:
    """Probabilities of the 2^k patterns of k independent coins; bit i of the index: channel i dropped."""
    law = np.ones(1)
    for rate in np.asarray(p, dtype=float):
        law = np.concatenate([law * (1 - rate), law * rate])
    return law


def product_laws(p: Any) -> Any:
    """``product_law`` of every row of (groups, k): (groups, 2^k)."""
    rates = np.asarray(p, dtype=float)
    law = np.ones((len(rates), 1))
    for i in range(rates.shape[1]):
        law = np.concatenate([law * (1 - rates[:, i : i + 1]), law * rates[:, i : i + 1]], axis=1)
    return law


def g_resolution(n: int, cells: int, alpha: float, beta: float, estimated: int = 0) -> float:
    """Smallest effect size w = sqrt(noncentrality / n) (Cohen 1988, 7.2) missed with probability at most beta.

    ``estimated``: rates taken from the same coins. The test does not lower its degrees for them, but G is smaller by one
    degree for each, which a defect must make up for.
    """
    return math.sqrt(_noncentrality(cells, alpha, beta, estimated) / max(1, n))


@lru_cache(maxsize=4096)
def _noncentrality(cells: int, alpha: float, beta: float, estimated: int) -> float:
    """Of a defect that is missed with probability ``beta``; cases differ in their rows, seldom in the rest."""
    degrees = max(1, cells - 1)
    left = max(1, degrees - estimated)
    critical = float(special.chdtri(degrees, alpha / safe_factor(cells, LEAST_EXPECTED)))
    low, high = 0.0, 16.0
    while special.chndtr(critical, left, high) > beta:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        if special.chndtr(critical, left, middle) > beta:
            low = middle
        else:
            high = middle
    return high
