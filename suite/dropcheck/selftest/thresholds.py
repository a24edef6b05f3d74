"""Critical counts recomputed by exact sums, independent of the code under test, and the documented figures beside theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.stats import binom, hypergeom

from dropcheck.results.selftest import Golden, Promise, Threshold
from dropcheck.selftest.work import Item
from dropcheck.statistics import association, binomial, dispersion, duplicates, homogeneity

_CLOSE = 1e-6  # relative: a p-value this near to alpha may fall on either side by rounding


def items(seed: int, scale: float) -> list[Item]:
    """All work of the part: it is the same at every scale."""
    names = {
        "binomial_rows": 5.0,
        "fractions": 2.0,
        "hypergeometric": 10.0,
        "events": 1.0,
        "words": 1.0,
        "goldens": 5.0,
    }
    return [Item(f"thresholds/{n}", f"thresholds:{n}", {}, c) for n, c in names.items()]


def _row(quantity: str, compared: int, wrong: list[str]) -> dict[str, Any]:
    return {"quantity": quantity, "compared": compared, "wrong": len(wrong), "examples": wrong[:5]}


def binomial_bounds(n: int, p: float, alpha: float) -> tuple[int, int]:
    """Smallest and largest count whose doubled exact tail is above alpha, by sums of the law from both ends."""
    logs = binom.logpmf(np.arange(n + 1), n, p)
    lower = np.logaddexp.accumulate(logs)
    upper = np.logaddexp.accumulate(logs[::-1])[::-1]
    limit = math.log(alpha / 2)
    return int(np.flatnonzero(lower > limit)[0]), int(np.flatnonzero(upper > limit)[-1])


def binomial_grid() -> list[tuple[int, float, float]]:
    """(n, p, alpha) of the comparison."""
    return [
        (n, p, alpha)
        for n in (1, 7, 64, 1000, 40_000)
        for p in (0.001, 0.01, 0.1, 0.15, 0.3, 0.5, 0.9, 0.999)
        for alpha in (0.05, 0.01, 1e-6, 1e-8, 1e-10)
    ]


def binomial_table(acceptance: Callable[[int, float, float], tuple[int, int]]) -> dict[str, Any]:
    """The comparison for one way to compute acceptance bounds."""
    wrong = []
    for n, p, alpha in binomial_grid():
        ours, exact = tuple(acceptance(n, p, alpha)), binomial_bounds(n, p, alpha)
        if ours != exact:
            # a tail within rounding of alpha / 2 may fall on either side
            edge = [min(2 * min(binom.cdf(k, n, p), binom.sf(k - 1, n, p)), 1.0) for k in {*ours, *exact}]
            if not any(abs(e / alpha - 1) < _CLOSE for e in edge):
                wrong.append(f"n = {n}, rate {p:g}, alpha {alpha:g}: counts {ours}, by exact sums {exact}")
    return _row("counts that a marginal rate may have (binomial)", len(binomial_grid()), wrong)


def binomial_rows() -> list[dict[str, Any]]:
    """The suite's own bounds."""
    return [binomial_table(binomial.acceptance)]


def fractions() -> list[dict[str, Any]]:
    """Tail probabilities in whole-number arithmetic, against the suite's logarithms."""
    wrong, compared = [], 0
    for n, p in ((40, Fraction(1, 10)), (60, Fraction(3, 10)), (33, Fraction(1, 2))):
        law = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        for k in range(n + 1):
            tail = sum(law[k:]) if k >= n * p else sum(law[: k + 1])
            exact = min(0.0, math.log10(2 * tail.numerator) - math.log10(tail.denominator))
            ours = binomial.log10_two_sided(k, n, float(p))
            compared += 1
            if abs(ours - exact) > 1e-8 * max(1.0, abs(exact)):
                wrong.append(f"P of {k} of {n} at rate {p}: 10^{ours:.12g}, in fractions 10^{exact:.12g}")
    return [_row("binomial p-values in fractions", compared, wrong)]


def hypergeometric() -> list[dict[str, Any]]:
    """Critical counts of one position and of one pair: whole tails summed from their probabilities."""
    wrong, compared = [], 0
    for population, marked, draws in ((600, 180, 200), (64_000, 6_400, 1_000), (1024, 102, 102), (2000, 1000, 1000)):
        bottom, top = max(0, marked + draws - population), min(marked, draws)
        k = np.arange(bottom, top + 1)
        logs = hypergeom.logpmf(k, population, marked, draws)
        lower, upper = np.logaddexp.accumulate(logs), np.logaddexp.accumulate(logs[::-1])[::-1]
        exact = np.minimum(0.0, (np.where(k > marked * draws / population, upper, lower) + math.log(2)) / math.log(10))
        for alpha in (1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
            compared += 1
            # each count by itself: of many at once only the farthest few are summed, the rest bounded
            ours = np.array([float(homogeneity.hypergeometric_log10(v, population, marked, draws)) for v in k])
            differ = (ours <= math.log10(alpha)) != (exact <= math.log10(alpha))
            differ &= np.abs(exact - math.log10(alpha)) > _CLOSE
            if differ.any():
                wrong.append(
                    f"{population} decisions, {marked} dropped, position of {draws}, alpha {alpha:g}: differs at counts "
                    f"{k[differ][:6].tolist()}"
                )
    return [_row("counts that a position or a pair may have (hypergeometric)", compared, wrong)]


def events() -> list[dict[str, Any]]:
    """Coins after which an event of probability eps has escaped with probability beta."""
    wrong, compared = [], 0
    for eps in (0.5, 2**-8, 1e-3, 1e-5):
        for beta in (0.05, 1e-6, 1e-9):
            compared += 1
            n = binomial.zero_tolerance_coins(eps, beta)
            inside = n * math.log1p(-eps) <= math.log(beta) * (1 - 1e-12) and (n - 1) * math.log1p(-eps) > math.log(
                beta
            )
            if not inside:
                wrong.append(f"eps {eps:g}, beta {beta:g}: {n} decisions")
    return [_row("decisions after which no event may have escaped", compared, wrong)]


def words() -> list[dict[str, Any]]:
    """Lengths of words whose chance repeats are below alpha: one coin fewer would not do."""
    wrong, compared = [], 0
    for positions in (2, 1000, 20_000):
        for p in (0.1, 0.3, 0.5):
            for alpha in (0.01, 1e-8):
                compared += 1
                n = duplicates.word_length(positions, p, alpha)
                pairs = positions * (positions - 1) / 2
                chance = [pairs * float((Fraction(p) ** 2 + (1 - Fraction(p)) ** 2) ** m) for m in (n - 1, n)]
                if not chance[1] <= alpha * (1 + 1e-9) or not chance[0] > alpha * (1 - 1e-9):
                    wrong.append(f"{positions} positions, rate {p:g}, alpha {alpha:g}: {n} decisions")
    return [_row("decisions of a stretch that does not repeat by chance", compared, wrong)]


def _size(resolution: Callable[[int], float], delta: float) -> int:
    """The smallest size whose resolution is delta or finer (resolutions fall with size)."""
    low, high = 1, 2
    while resolution(high) > delta:
        low, high = high, 2 * high
    while high - low > max(1, high // 2000):
        middle = (low + high) // 2
        low, high = (low, middle) if resolution(middle) <= delta else (middle, high)
    return high


def goldens() -> list[dict[str, Any]]:
    """The figures of the table of tests, for alpha 1e-8, beta 1e-6, rate .1, 64 channels."""
    a, b = 1e-8, 1e-6
    flat = np.full(64, 0.1)

    def pair(n: int) -> float:
        return association.correlation_resolution(n, 0.1, a / 2016, b)

    def lag(n: int) -> float:
        return association.correlation_resolution(n, 0.1, a, b)

    rows: list[tuple[str, float, float, float]] = [
        ("decisions for a rate error of .5 points at rate .1", 404e3, binomial.coins_needed(0.1, 0.005, a, b), 0.01),
        ("decisions for a rate error of .5 points at rate .3", 928e3, binomial.coins_needed(0.3, 0.005, a, b), 0.01),
        ("decisions for a rate error of .5 points at rate .5", 1.10e6, binomial.coins_needed(0.5, 0.005, a, b), 0.01),
        ("decisions for leaks of 2^-8", 3.5e3, binomial.zero_tolerance_coins(2**-8, b), 0.02),
        (
            "rows for one channel 2 points off",
            31e3,
            _size(lambda n: homogeneity.position_resolution(n, 64, 0.1, a, b), 0.02),
            0.06,
        ),
        (
            "rows for one channel .5 points off",
            450e3,
            _size(lambda n: homogeneity.position_resolution(n, 64, 0.1, a, b), 0.005),
            0.06,
        ),
        (
            "rows for all channels .5 points off",
            12e3,
            _size(lambda n: homogeneity.spread_resolution(n, 64, 0.1, a, b), 0.005),
            0.05,
        ),
        ("rows for a correlation .01 of a pair", 1.36e6, _size(pair, 0.01), 0.06),
        ("pairs for a correlation .01 of a lag", 1.2e6, _size(lag, 0.01), 0.06),
        (
            "rows for a mean correlation of .01",
            915,
            _size(lambda n: dispersion.dispersion_resolution(n, flat, a, b), 0.01),
            0.15,
        ),
        ("decisions of a stretch among 20 000 rows, rate .5", 54, duplicates.word_length(20_000, 0.5, a), 0.02),
        ("decisions of a stretch among 20 000 rows, rate .1", 189, duplicates.word_length(20_000, 0.1, a), 0.02),
    ]
    return [{"figure": f, "stated": s, "computed": float(c), "slack": k} for f, s, c, k in rows]


def conclude(values: Mapping[str, Any]) -> tuple[list[Threshold], list[Golden], list[Promise]]:
    """Tables and promises."""
    table = [Threshold(**one) for key, value in sorted(values.items()) if "goldens" not in key for one in value]
    figures = [Golden(**one) for one in values.get("thresholds/goldens", [])]
    wrong = [t for t in table if t.wrong]
    off = [g for g in figures if not g.holds]
    compared = sum(t.compared for t in table)
    return (
        table,
        figures,
        [
            Promise(
                part="thresholds",
                name="thresholds are those of exact sums",
                held=not wrong and compared > 0,
                n=compared,
                text=f"{compared - sum(t.wrong for t in wrong)} of {compared} recomputed thresholds agree"
                + "".join(f"; {t.quantity}: {'; '.join(t.examples[:3])}" for t in wrong),
            ),
            Promise(
                part="thresholds",
                name="documented figures are those of the code",
                held=not off,
                n=len(figures),
                text=f"{len(figures) - len(off)} of {len(figures)} documented figures agree to their rounding"
                + "".join(f"; {g.figure}: stated {g.stated:g}, computed {g.computed:g}" for g in off),
            ),
        ],
    )
