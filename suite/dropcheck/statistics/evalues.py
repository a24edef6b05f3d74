"""Evidence that multiplies: from a p-value of one run to an e-value, and from the e-values of all runs to one bound.

An e-value is a non-negative number whose mean is at most 1 if the layer is right. Runs with different root seeds are
independent, so products of their e-values are e-values too, and Ville's inequality bounds the whole life of a product:
P(it ever reaches 1/a) <= a. Everything here is log10.

Calibrator (Vovk and Wang, arXiv:1912.06116, section 2): for every kappa in (0, 1) the function kappa p^(kappa - 1) is
decreasing with integral 1 over (0, 1), so that for a p-value (P(p <= u) <= u) its mean is at most 1. The mean over kappa,
uniform in (0, 1), is one as well: f(p) = (1 - p + p ln p)/(p (ln p)^2), f(1) = 1/2. It needs no tuning and loses only a
factor (ln p)^2 against 1/p.

Wagers: 1 - w + w e is an e-value for every w in [0, 1]. A case's evidence is the mean, over the WAGERS, of the products over
runs: a deviation too small for the whole wager still adds up under a smaller one, and quiet runs cost at most a factor
len(WAGERS), because the wager 0 never loses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

WAGERS = (1.0, 0.3, 0.1, 0.0)
IMPOSSIBLE = 99999.0  # log10 of an infinite e-value: JSON has no infinity (a finding writes its p-value as -99999)


def log10_e(log10_p: float, slack: float = 1.0) -> float:
    """log10 f(min(1, slack p)). ``slack``: by how much a p-value above its exact range may be too small.

    Raises ValueError for a p-value above 1 or none at all.
    """
    if math.isnan(log10_p) or log10_p > 1e-12:
        raise ValueError(f"log10 of a p-value is at most 0, not {log10_p}")
    if log10_p <= -IMPOSSIBLE:
        return IMPOSSIBLE
    log10_p = min(0.0, log10_p + math.log10(slack))
    ln = log10_p * math.log(10)
    if ln > -1e-4:
        return math.log10(0.5 - ln / 6)  # the series of f at p = 1; the next term is below 1e-9
    # (1 - p + p ln p)/(p ln^2 p): 1/p leaves the range of doubles, its logarithm does not
    p = math.exp(ln)
    return math.log10((1 - p + p * ln) / ln**2) - log10_p


def wager(log10_value: float, share: float) -> float:
    """log10 of 1 - share + share e."""
    if share <= 0:
        return 0.0
    if log10_value >= IMPOSSIBLE:
        return IMPOSSIBLE
    return mean([0.0, log10_value], [1 - share, share])


def mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """log10 of the weighted mean (weights that add to 1; equal ones by default): an e-value under any dependence."""
    shares = weights if weights is not None else [1 / len(values)] * len(values)
    terms = [v + math.log10(w) for v, w in zip(values, shares, strict=True) if w > 0]
    best = max(terms)
    if max(values) >= IMPOSSIBLE:
        return IMPOSSIBLE
    return best + math.log10(math.fsum(10 ** (t - best) for t in terms))


def won(so_far: Sequence[float], log10_value: float) -> list[float]:
    """log10 of the product of each wager after one more run; ``so_far``: before it, nothing before the first."""
    return [w + wager(log10_value, s) for w, s in zip(so_far or [0.0] * len(WAGERS), WAGERS, strict=True)]


def product(values: Iterable[float]) -> float:
    """log10 evidence of one case after successive runs: the mean over the WAGERS of the products of what they win."""
    so_far: list[float] = []
    for value in values:
        so_far = won(so_far, value)
    return mean(so_far) if so_far else 0.0


def combined(products: Mapping[str, float], most: int) -> float:
    """log10 evidence of one check: the mean of its cases' evidence over a fixed number ``most`` of places.

    Places that no case has taken yet hold 1, which is where every case starts: so the mean is an e-process whatever cases a
    run asks, and a case that first appears later changes nothing that was. Raises ValueError for more cases than places.
    """
    if len(products) > most:
        raise ValueError(f"{len(products)} cases are more than the {most} that share the check's evidence")
    if not products:
        return 0.0
    return mean([*products.values(), 0.0], [*[1 / most] * len(products), 1 - len(products) / most])


def words(log10_value: float) -> str:
    """An e-value as a power of ten."""
    return f"10^{round(log10_value, 1) + 0.0:.1f}"  # never -0.0


def needed(alpha: float, share: float) -> float:
    """log10 of the evidence that fails a check: 1/(alpha share); over all checks, for life, at most alpha."""
    return -math.log10(alpha * share)
