"""Defects of one way in which a seed reaches a Keras layer."""

from __future__ import annotations

from typing import Any, Optional

from keras import ops

from spatial_dropouts.broken.keras_layers import Layer


class _Seeded(Layer):
    """A right layer that remembers whether its constructor was given a seed."""

    def __init__(self, rate: float, seed: Optional[int] = None, **options: Any) -> None:
        super().__init__(rate, seed, **options)
        self.seeded = seed is not None


class SeededUnscaled(_Seeded):
    """With a seed of its own, kept values are not scaled."""

    def call(self, x: Any, training: bool = False) -> Any:
        if not (self.active(training) and self.seeded):
            return super().call(x, training=training)
        return ops.where(self.uniform(x) >= self.rate, x, ops.zeros_like(x))


class SeededElementwise(_Seeded):
    """With a seed of its own, every element has its own coin."""

    def noise_shape(self, x: Any) -> Any:
        return tuple(x.shape) if self.seeded else super().noise_shape(x)
