"""Planted defects of the mode."""

from __future__ import annotations

from typing import Any

from spatial_dropouts.broken.base import Layer


class ActiveInInference(Layer):
    """Inference drops too."""

    def infer(self, x: Any, rng: Any) -> Any:
        return self.drop(x, self.mask(x, rng)) if self.rate else x.copy()


class InferenceSpendsRandomness(Layer):
    """Inference draws a mask and throws it away."""

    def infer(self, x: Any, rng: Any) -> Any:
        self.mask(x, rng)
        return x.copy()


class InferenceRounds(Layer):
    """Inference multiplies by keep and divides by it again: the last bits change."""

    def infer(self, x: Any, rng: Any) -> Any:
        if not 0 < self.rate < 1:
            return x.copy()
        keep = x.dtype.type(0.7)
        return x * keep / keep * x.dtype.type(1 + 2 ** -(9 if x.dtype.itemsize == 2 else 20))


class StuckOff(Layer):
    """After the first inference call training drops nothing."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.off = False

    def infer(self, x: Any, rng: Any) -> Any:
        self.off = True
        return x.copy()

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if training and self.off:
            return x.copy()
        return super().__call__(x, training=training, rng=rng)


class InferenceAliases(Layer):
    """Inference returns the input itself, and the next call works in place on what the last one returned."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.returned: Any = None

    def infer(self, x: Any, rng: Any) -> Any:
        if self.returned is not None:
            self.returned *= x.dtype.type(0.5)
        self.returned = x
        return x
