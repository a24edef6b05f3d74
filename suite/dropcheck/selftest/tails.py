"""Sizes at the level of the gate: exact sums where the law is known, tilted or overdispersed sampling where it is bounded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import chdtri, gammaln
from scipy.stats import binom, hypergeom

from dropcheck.selftest import anywhere, row_laws
from dropcheck.selftest.simulated import generator
from dropcheck.statistics import association, binomial, dispersion, duplicates, goodness, homogeneity

ALPHA = 1e-8
NAMES = {
    "marginal": 5.0,
    "position": 5.0,
    "pair": 5.0,
    "association": 20.0,
    "dispersion": 50.0,
    "goodness": 20.0,
    "spread": 20.0,
    "copies": 1.0,
    "anywhere": 75.0,
    "rows": 5.0,
}


def measure(name: str, draws: int, seed: int) -> list[dict[str, Any]]:
    """Rows of ``Tail`` of one kind."""
    function = globals()[f"_{name}"]
    return list(function(draws, generator(seed, "tail", name)))


def _row(check: str, case: str, method: str, size: float, error: float, n: int) -> dict[str, Any]:
    return {
        "check": check,
        "case": case,
        "method": method,
        "alpha": ALPHA,
        "size": float(size),
        "error": float(error),
        "n": n,
    }


def _sampled(check: str, case: str, method: str, weights: Any) -> dict[str, Any]:
    """A size from importance sampling: ``weights`` (draws,) are likelihood ratios where rejected, 0 elsewhere."""
    return _row(check, case, method, weights.mean(), weights.std() / math.sqrt(len(weights)), len(weights))


def _overdispersed(check: str, case: str, logs: Any, log_weight: Any) -> dict[str, Any]:
    """A size from overdispersed draws: log10 p-values and natural logarithms of the likelihood ratios, both (draws,)."""
    weights = np.where(logs <= math.log10(ALPHA), np.exp(np.minimum(log_weight, 700)), 0.0)
    return _sampled(check, case, "overdispersed sampling", weights)


def _marginal(draws: int, rng: Any) -> Any:
    """The whole binomial law, summed where the suite's own p-value rejects."""
    for n, p in ((384, 0.3), (8704, 0.1), (100_000, 0.001), (404_000, 0.1)):
        k = np.arange(n + 1)
        logs = binomial.log10_two_sided_many(k, n, p)
        size = binom.pmf(k, n, p)[logs <= math.log10(ALPHA)].sum()
        yield _row("rate.marginal", f"{n} decisions, rate {p:g}", "exact sum", size, 0.0, n + 1)


def _position(draws: int, rng: Any) -> Any:
    """One position given the totals, times the positions (Bonferroni): the union bound of the exact size."""
    for positions, size, p in ((3, 200, 0.3), (64, 1000, 0.1), (17, 4000, 0.01)):
        population, marked = positions * size, round(positions * size * p)
        k = np.arange(size + 1)
        # each count by itself: among many at once only the farthest few are summed, the rest bounded
        logs = np.array([float(homogeneity.hypergeometric_log10(v, population, marked, size)) for v in k])
        law = hypergeom.pmf(k, population, marked, size)
        reject = logs + math.log10(positions) <= math.log10(ALPHA)
        total = float(law[reject].sum()) * positions
        yield _row("rate.per-channel", f"{positions} x {size} decisions, rate {p:g}", "exact sum", total, 0.0, len(k))


def _pair(draws: int, rng: Any) -> Any:
    """One pair of channels given its margins."""
    for n, p in ((256, 0.5), (512, 0.1), (16_448, 0.1)):
        a = round(n * p)
        k = np.arange(a + 1)
        logs = np.array([float(association.association_many(n, a, a, v)) for v in k])
        size = hypergeom.pmf(k, n, a, a)[logs <= math.log10(ALPHA)].sum()
        yield _row("mask.independent-channels", f"one pair, {n} rows, rate {p:g}", "exact sum", size, 0.0, len(k))


def _association(draws: int, rng: Any) -> Any:
    """All sums of joint drops of several strata, by convolution of the exact laws of the strata."""
    for strata, n, p in ((4, 128, 0.3), (17, 256, 0.1), (9, 128, 0.5), (64, 64, 0.1)):
        a = round(n * p)
        single = hypergeom.pmf(np.arange(a + 1), n, a, a)
        law = np.ones(1)
        for _ in range(strata):
            law = np.convolve(law, single)
        mean = strata * a * a / n
        size = 0.0
        for total in np.flatnonzero(law > 0):
            # the p-value depends on the total alone, however it is spread over the strata
            both = np.full(strata, total // strata)
            both[: total % strata] += 1
            if law[total] > 1e-4 and abs(total - mean) < 1:
                continue
            full = np.full(strata, a)
            log = association.two_sided(np.full(strata, n), full, full, both)
            if log <= math.log10(ALPHA):
                size += float(law[total])
        yield _row(
            "mask.independent-samples", f"{strata} strata of {n} pairs, rate {p:g}", "exact sum", size, 0.0, len(law)
        )


def _dispersion(draws: int, rng: Any) -> Any:
    """Rows drawn from the law tilted by exp(t y), weighted back; channels' rates are estimated from them as in an audit."""
    per_side = max(200, draws // 20)
    for channels, rows, p in ((3, 128, 0.3), (17, 200, 0.1), (64, 200, 0.01), (9, 256, 0.5)):
        law = dispersion.poisson_binomial(np.full(channels, p))
        values, variance, _ = dispersion._orthogonal(np.full(channels, p))
        for side in (1, -1):
            t = _tilt(law, values, variance, rows, side)
            if t is None:
                continue
            tilted = law * np.exp(t * values - (t * values).max())
            norm = float((law * np.exp(t * values)).sum())
            tilted /= tilted.sum()
            weights = np.zeros(per_side)
            for i in range(per_side):
                d = rng.choice(channels + 1, rows, p=tilted)
                coins = rng.random((rows, channels)).argsort(axis=1) < d[:, None]
                histogram = np.bincount(d, minlength=channels + 1)
                low, high, _ = dispersion.log10_dispersion(histogram, coins.mean(axis=0))
                # one of the three tests of mask.dropped-count; each side has a third of the level
                if (high if side > 0 else low) <= math.log10(ALPHA):
                    weights[i] = math.exp(rows * math.log(norm) - t * float(values[d].sum()))
            words = f"{'clumped' if side > 0 else 'rationed'}, {rows} rows of {channels} channels, rate {p:g}"
            yield _sampled("mask.dropped-count", words, "tilted sampling", weights)


def _tilt(law: Any, values: Any, variance: float, rows: int, side: int) -> float | None:
    """The tilt under which the mean of the statistic lies where its Chernoff bound is ALPHA; None where it cannot."""
    low, high = 0.0, 40.0 / max(float(np.abs(values).max()), 1e-9)
    for _ in range(80):
        t = (low + high) / 2
        weights = law * np.exp(side * t * values)
        norm = float(weights.sum())
        mean = float((weights * values).sum()) / norm
        exponent = rows * (math.log(norm) - side * t * mean)
        if exponent > math.log(ALPHA):
            low = t
        else:
            high = t
    return None if high >= 39.9 / max(float(np.abs(values).max()), 1e-9) else side * high


def _goodness(draws: int, rng: Any) -> Any:
    """Multinomial counts drawn overdispersed (Dirichlet-multinomial, equally in all directions), weighted back."""
    for cells, expected in ((4, 20), (16, 20), (16, 100), (256, 20)):
        n, law = cells * expected, np.full(cells, 1 / cells)
        target = float(chdtri(cells - 1, ALPHA))
        # E G is about (cells - 1) x overdispersion factor (n + A) / (1 + A)
        factor = target / (cells - 1)
        total = max(0.5, (n - factor) / (factor - 1))
        mix = rng.dirichlet(np.full(cells, total / cells), draws)
        seen = np.array([rng.multinomial(n, m / m.sum()) for m in mix])
        _, _, logs = goodness.g_many(seen, np.broadcast_to(law * n, seen.shape))
        a = total / cells
        log_weight = -n * math.log(cells) - (
            gammaln(total) - gammaln(n + total) + (gammaln(seen + a) - gammaln(a)).sum(axis=1)
        )
        yield _overdispersed("mask.patterns", f"{cells} cells, {expected} expected in each", logs, log_weight)


def _spread(draws: int, rng: Any) -> Any:
    """Homogeneity of positions: counts drawn overdispersed (beta-binomial), weighted back to equal rates."""
    for positions, size, p in ((3, 200, 0.3), (17, 300, 0.1), (64, 200, 0.5)):
        target = float(chdtri(positions - 1, ALPHA))
        factor = target / (positions - 1)
        strength = max(0.5, (size - factor) / (factor - 1))
        a, b = strength * p, strength * (1 - p)
        k = rng.binomial(size, rng.beta(a, b, (draws, positions)))
        logs = np.array([homogeneity.spread(row, size)[2] for row in k])

        def log_beta(x: Any, y: Any) -> Any:
            return gammaln(x) + gammaln(y) - gammaln(x + y)

        log_weight = (k * math.log(p) + (size - k) * math.log1p(-p)).sum(axis=1) - (
            log_beta(k + a, size - k + b) - log_beta(a, b)
        ).sum(axis=1)
        yield _overdispersed(
            "rate.per-sample", f"{positions} positions of {size} decisions, rate {p:g}", logs, log_weight
        )


def _copies(draws: int, rng: Any) -> Any:
    """The chance that any two of a few words are equal, by elementary symmetric sums, against the bound at its edge."""
    for p, words in ((0.5, 20), (0.3, 40)):
        coins = duplicates.word_length(words, p, ALPHA)
        # distinct probabilities of words with d drops and how many there are: log(e_n) by power series is exact to 1e-16;
        # the first two terms of inclusion and exclusion suffice at 1e-8
        pairs = words * (words - 1) / 2
        size = pairs * (p * p + (1 - p) ** 2) ** coins
        yield _row(
            "mask.distinct-calls", f"{words} stretches of {coins} decisions, rate {p:g}", "exact sum", size, 0.0, coins
        )


def _anywhere(draws: int, rng: Any) -> Any:
    """Ties anywhere: their bounds hold at every level, and are counted at levels that null cases reach."""
    for look, case, level, share, n in anywhere.null_sizes(draws // 20, rng):
        # the error of the share that the level itself would have: none is seen of what is rarer than one in n
        error = math.sqrt(level * (1 - level) / n)
        row = _row(f"looks for {look}", case, "counting", share, error, n)
        yield {**row, "alpha": level}


def _rows(draws: int, rng: Any) -> Any:
    """Rows of an exact number or of one stretch: the exact law of each count, times the tests of a claim."""
    for check, case, size, terms in row_laws.exact_sizes(ALPHA):
        yield _row(check, case, "exact sum", size, 0.0, terms)
