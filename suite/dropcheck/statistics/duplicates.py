"""Copies: the chance that independent coins agree over a long word, and the words that are long enough."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def _agree_log10(p: Any) -> Any:
    """log10 of the chance that two independent coins of rate p agree, elementwise."""
    rate = np.asarray(p, dtype=float)
    return np.log10(rate**2 + (1 - rate) ** 2)


def log10_chance_of_equal(pairs: float, p: float, coins: int) -> float:
    """log10 of a bound of the chance that any of ``pairs`` pairs of independent words of ``coins`` coins is equal.

    Union bound: pairs x (p^2 + q^2)^coins, at most 1.
    """
    return float(log10_chances_of_equal(pairs, p, coins))


def log10_chances_of_equal(pairs: float, p: Any, coins: int) -> Any:
    """``log10_chance_of_equal`` at each rate of an array."""
    if pairs <= 0:
        return np.zeros(np.shape(p))
    return np.minimum(0.0, math.log10(pairs) + coins * _agree_log10(p))


def word_length(positions: float, p: float, alpha: float) -> int:
    """Coins of a word for which chance repeats among all pairs of ``positions`` positions lie below ``alpha``."""
    agree = float(_agree_log10(p))
    if agree >= 0:
        raise ValueError(f"words never become unlikely at rate {p:g}")
    return math.ceil((math.log10(alpha) - math.log10(max(1.0, positions * (positions - 1) / 2))) / agree)
