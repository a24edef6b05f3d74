"""Planted defects: coins that depend on coins a fixed distance away that is no power of two."""

from __future__ import annotations

from typing import Any, List

import numpy as np

from spatial_dropouts.broken.base import Layer


class ThirdSampleLeans(Layer):
    """Four in ten coins of a sample are those of the sample three before it."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        taken = rng.random(mask.shape) < 0.4
        for row in range(3, len(mask)):
            mask[row] = np.where(taken[row], mask[row - 3], mask[row])
        return mask


class DiagonalLeans(Layer):
    """Four in ten coins are those of the sample before, one channel to the left."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        taken = rng.random(mask.shape) < 0.4
        for row in range(1, len(mask)):
            mask[row, 1:] = np.where(taken[row, 1:], mask[row - 1, :-1], mask[row, 1:])
        return mask


class ThirdCallLeans(Layer):
    """Four in ten coins of every second three calls are those of the call three before."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.calls = 0
        self.before: List[Any] = []

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        self.calls += 1
        self.before = [*self.before, mask][-4:]
        old = self.before[0]
        if self.calls % 6 >= 3 and len(self.before) == 4 and old.shape == mask.shape:
            return np.where(rng.random(mask.shape) < 0.4, old, mask)
        return mask
