"""The layers of a sample project: one that keeps its promise, and one with a planted defect."""

from __future__ import annotations

from typing import Any

import numpy as np


def _masked(x: Any, keep: Any, rate: float) -> Any:
    return np.where(keep, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))


def good(x: Any, rate: float, *, training: bool, rng: np.random.Generator) -> Any:
    """Drop whole channels with probability ``rate`` and scale what is kept."""
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate is a probability, not {rate}")
    if not training or rate == 0:
        return x
    if rate == 1:
        return np.zeros_like(x)
    return _masked(x, rng.random((*x.shape[:2], 1)) >= rate, rate)


def tied(x: Any, rate: float, *, training: bool, rng: np.random.Generator) -> Any:
    """The same with a defect: neighbouring channels share a coin."""
    if not training or rate in (0, 1):
        return good(x, rate, training=training, rng=rng)
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate is a probability, not {rate}")
    pairs = rng.random((x.shape[0], (x.shape[1] + 1) // 2, 1)) >= rate
    return _masked(x, np.repeat(pairs, 2, axis=1)[:, : x.shape[1]], rate)
