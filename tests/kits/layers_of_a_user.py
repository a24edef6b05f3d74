"""Layers of somebody who uses dropcheck in his own tests: a right one, one that shares a mask, one that takes any rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck import Implementation

FEW = {"cases": "float32 rate=0.3 64,32,3 calls=20", "causes": False}  # a tenth of a second
CLAIM = "mask.distinct-samples"


def _dropped(x: Any, rate: float, training: bool, coins: Any) -> Any:
    if not 0 <= rate <= 1:
        raise ValueError(f"rate {rate} is no probability")
    if not training or rate == 0:
        return x.copy()
    scaled = np.zeros_like(x) if rate == 1 else (x.astype(np.float64) / (1 - rate)).astype(x.dtype)
    return np.where(coins < rate, np.zeros((), x.dtype), scaled)


def right(x: Any, rate: float, *, training: bool, rng: np.random.Generator) -> Any:
    """One coin a sample and channel."""
    return _dropped(x, rate, training, rng.random((*x.shape[:2], 1)))


def shares(x: Any, rate: float, *, training: bool, rng: np.random.Generator) -> Any:
    """One mask for all samples."""
    return _dropped(x, rate, training, np.broadcast_to(rng.random((1, x.shape[1], 1)), (*x.shape[:2], 1)))


def careless(x: Any, rate: float, *, training: bool, rng: np.random.Generator) -> Any:
    """One coin a sample and channel, whatever rate it is given."""
    return _dropped(x, min(max(rate, 0.0), 1.0) if rate == rate else 0.5, training, rng.random((*x.shape[:2], 1)))


DECLARED = Implementation(make=shares, contract="n c l -> c")
