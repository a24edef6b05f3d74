"""The scripts that a user of SciPy would write to test a dropout layer: a plain chi-square, and a careful one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dropcheck.selftest.subject import Battery, Part, Subject

RATES = (0.1, 0.3, 0.5)
CALLS, ROWS, CHANNELS, SHARED = 200, 16, 16, 2
# rate, channels, samples, and neighbours along channels, samples and calls: six p-values at each of three rates
COMPARISONS = 6 * len(RATES)

Coins = NDArray[np.bool_]


def _coins(layer: Subject, rate: float) -> tuple[str | None, Coins]:
    """Whether channels are whole and kept values right, and the coins (calls, rows, channels), True dropped."""
    x = layer.ones(ROWS, CHANNELS, SHARED)
    outputs, _ = layer.make(rate).answers(x, CALLS)
    values = np.stack([layer.coins(y) for y in outputs])
    gone = layer.gone(values)
    matrix = gone[:, :, 0].reshape(CALLS, *layer.pattern.matrix_shape(x.shape))
    if not bool(np.all(gone.all(axis=2) | ~gone.any(axis=2))):
        return f"rate {rate}: a channel is neither dropped nor kept whole", matrix
    if not np.allclose(values[~gone], layer.kept(1.0, rate)):
        return f"rate {rate}: a kept value is not x times {layer.contract.scale_at(rate):.4g}", matrix
    return None, matrix


def homogeneous(dropped: NDArray[np.int64], of: int, rate: float) -> float:
    """p-value of Pearson's chi-square for dropped counts at positions with ``of`` coins each, against the rate."""
    observed = np.concatenate([dropped, of - dropped])
    share = np.repeat([rate, 1 - rate], len(dropped))
    # 2 k cells, k degrees of freedom: each position has a total of its own
    return float(stats.chisquare(observed, of * share, ddof=len(dropped) - 1).pvalue)


def associated(a: Coins, b: Coins) -> float | None:
    """p-value of the two-way contingency table of paired coins; None where there are no pairs or a margin is empty."""
    if a.size == 0:
        return None
    table = np.array([[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]])
    if (table.sum(axis=0) == 0).any() or (table.sum(axis=1) == 0).any():
        return None
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def p_values(coins: Coins, rate: float) -> dict[str, float]:
    """The six p-values of the careful script for coins (calls, rows, channels), as far as they apply."""
    calls, rows, channels = coins.shape
    found: dict[str, float | None] = {
        "the rate": float(stats.binomtest(int(coins.sum()), coins.size, rate).pvalue),
        "channels": homogeneous(coins.sum(axis=(0, 1)), calls * rows, rate) if channels > 1 else None,
        "samples": homogeneous(coins.sum(axis=(0, 2)), calls * channels, rate) if rows > 1 else None,
        # disjoint pairs: overlapping ones would not be independent
        "neighbouring channels": associated(coins[:, :, 0 : channels // 2 * 2 : 2], coins[:, :, 1::2]),
        "neighbouring samples": associated(coins[:, 0 : rows // 2 * 2 : 2], coins[:, 1::2]),
        "successive calls": associated(coins[0 : calls // 2 * 2 : 2], coins[1::2]),
    }
    return {name: p for name, p in found.items() if p is not None}


def plain_chi_square(layer: Subject) -> str | None:
    """Dropped channels over 200 calls at rate .3, one chi-square over all channels, at .05."""
    wrong, coins = _coins(layer, 0.3)
    if wrong:
        return wrong
    calls, rows, _ = coins.shape
    p = homogeneous(coins.sum(axis=(0, 1)), calls * rows, layer.rate(0.3))
    return f"chi-square over the channels: p = {p:.2g}" if p < 0.05 else None


def _careful(alpha: float) -> Part:
    def distribution(layer: Subject) -> str | None:
        for rate in RATES:
            wrong, coins = _coins(layer, rate)
            if wrong:
                return wrong
            for name, p in p_values(coins, layer.rate(rate)).items():
                if p < alpha:
                    return f"rate {rate}, {name}: p = {p:.2g}"
        return None

    return distribution


def inference(layer: Subject) -> str | None:
    """Inference returns normal values unchanged."""
    x = layer.rng.standard_normal(layer.shape(ROWS, CHANNELS, SHARED)).astype(np.float32).astype(np.float64)
    return None if np.array_equal(layer.make(0.3).call(x, training=False), x) else "inference changes the input"


def one_seed(layer: Subject) -> str | None:
    """One seed gives one mask, where the layer promises it."""
    if not layer.contract.seeds:
        return None
    x, seed = layer.ones(ROWS, CHANNELS, SHARED), layer.seed()
    one, two = layer.make(0.3, seed=seed).call(x), layer.make(0.3, seed=seed).call(x)
    return None if np.array_equal(one, two) else "one seed gives two masks"


def gradient(layer: Subject) -> str | None:
    """The gradient of the sum at an input of ones is the scale where kept and 0 where dropped."""
    x = layer.ones(ROWS, CHANNELS, SHARED)
    y, found = layer.make(0.3).gradient(x, x)
    if found is None:
        return "the output has no gradient"
    right = np.where(layer.gone(y), 0.0, layer.kept(1.0, 0.3))
    return None if np.allclose(found, right) else "the gradient does not follow the mask and the scale"


_SIZE = f"{CALLS} calls of {ROWS} x {CHANNELS} decisions"

SCRIPTS: tuple[Battery, ...] = (
    Battery(
        "SciPy chi-square at .05",
        "a user's script: scipy.stats.chisquare",
        f"whole channels, kept values, and one chi-square over the channels at rate .3, {_SIZE}",
        (plain_chi_square,),
    ),
    Battery(
        "SciPy careful, .01 each",
        "a user's script: scipy.stats.binomtest, chisquare, chi2_contingency",
        f"{COMPARISONS} p-values at .01 each over rates .1, .3, .5, {_SIZE}; whole channels, values, inference, seed, gradient",
        (_careful(0.01), inference, one_seed, gradient),
    ),
    Battery(
        "SciPy careful, .01 in all",
        "a user's script: scipy.stats.binomtest, chisquare, chi2_contingency",
        f"the same with Bonferroni's correction, .01 / {COMPARISONS} each",
        (_careful(0.01 / COMPARISONS), inference, one_seed, gradient),
    ),
)
