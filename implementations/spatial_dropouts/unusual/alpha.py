"""Correct alpha dropout in NumPy, written in orders that differ from the frameworks'."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import coins, valid

_OFF = -1.6732632423543772848 * 1.0507009873554804934


def feature_alpha(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """A coin a channel; every number of the formula in the dtype of the input, as a careless but right layer has it."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    if rate == 1:
        return np.zeros_like(x)
    one, r, off = x.dtype.type(1), x.dtype.type(rate), x.dtype.type(_OFF)
    a = one / np.sqrt((one - r) * (one + r * (off * off)))
    b = -(a * off * r)
    return np.where(coins(rng, rate, x.shape[:2])[:, :, None], a * off + b, a * x + b).astype(x.dtype)


def alpha_around_the_middle(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """A coin an element; a (x - rate alpha'), and a alpha' (1 - rate) for what is dropped: no cancellation."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    if rate == 1:
        return np.zeros_like(x)
    a = ((1 - rate) * (1 + rate * _OFF**2)) ** -0.5
    kept = a * (x.astype(np.float64) - rate * _OFF)
    return np.where(coins(rng, rate, x.shape), a * _OFF * (1 - rate), kept).astype(x.dtype)
