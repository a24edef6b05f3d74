"""Planted defects of the scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, dropped, scaled


class NotScaled(Layer):
    """Kept values are not scaled in training."""

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, self.rate, 1.0)


class ScaledAtInference(Layer):
    """Kept values are not scaled in training and multiplied by the keep probability in inference (the old way)."""

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, self.rate, 1.0)

    def infer(self, x: Any, rng: Any) -> Any:
        return scaled(x, self.rate, 1 - self.rate)


class NormalisedByRealised(Layer):
    """Scaled by the realised share of kept elements of the batch: samples influence each other."""

    def drop(self, x: Any, mask: Any) -> Any:
        kept = float(1 - mask.mean()) if mask.size else 1.0
        return dropped(x, mask, self.rate, 1 / kept if kept else 0.0)


class OneIn256Doubled(Layer):
    """One kept channel in 256 is scaled twice."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        y = super().__call__(x, training=training, rng=rng)
        if training and 0 < self.rate < 1:
            y = np.where((rng.random(x.shape[:2]) < 1 / 256)[:, :, None], y * y.dtype.type(2), y)
        return y


class AddsNoise(Layer):
    """Kept values get noise added instead of being multiplied only."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        y = super().__call__(x, training=training, rng=rng)
        if training and 0 < self.rate < 1:
            y = np.where(y != 0, y + (rng.standard_normal(x.shape) * 0.01).astype(x.dtype), y)
        return y


class SignLost(Layer):
    """Negative kept values come out positive."""

    def drop(self, x: Any, mask: Any) -> Any:
        return np.abs(super().drop(x, mask))


class RateRoundedForScale(Layer):
    """The scale is computed from the rate rounded to two digits."""

    def drop(self, x: Any, mask: Any) -> Any:
        rounded = round(self.rate, 1)
        return dropped(x, mask, self.rate, 1 / (1 - rounded) if rounded < 1 else 1.0)


class FactorTooCoarse(Layer):
    """The factor is cut to 12 bits: in float32 every kept value shares an error of thousands of units."""

    def drop(self, x: Any, mask: Any) -> Any:
        factor = 0.0 if self.rate == 1 else np.floor(4096 / (1 - self.rate)) / 4096
        return dropped(x, mask, self.rate, float(factor))


class LargeValuesClipped(Layer):
    """Kept values above 8 are clipped."""

    def drop(self, x: Any, mask: Any) -> Any:
        return np.clip(super().drop(x, mask), -8, 8)
