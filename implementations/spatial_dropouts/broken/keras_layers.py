"""Planted defects in Keras form, channels last (``n l c -> n c``), on whichever backend Keras runs."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import keras
from keras import ops

from spatial_dropouts.broken.base import valid


class Layer(keras.layers.Layer):
    """A right layer; defects override one method."""

    def __init__(self, rate: float, seed: Optional[int] = None, **options: Any) -> None:
        super().__init__(**options)
        self.rate = self.checked(rate)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def checked(self, rate: float) -> float:
        return valid(rate)

    def noise_shape(self, x: Any) -> Tuple[int, ...]:
        return (x.shape[0], 1, x.shape[2])

    def uniform(self, x: Any) -> Any:
        return keras.random.uniform(self.noise_shape(x), dtype="float32", seed=self.seed_generator)

    def active(self, training: bool) -> bool:
        return training and self.rate > 0

    def call(self, x: Any, training: bool = False) -> Any:
        if not self.active(training):
            return x
        keep = self.uniform(x) >= self.rate
        return ops.where(keep, x / (1 - self.rate if self.rate < 1 else 1.0), ops.zeros_like(x))


class FrozenNoise(Layer):
    """The noise tensor of a shape is made once and cached on the layer."""

    def __init__(self, rate: float, seed: Optional[int] = None, **options: Any) -> None:
        super().__init__(rate, seed, **options)
        self.cached: Dict[Any, Any] = {}

    def uniform(self, x: Any) -> Any:
        shape = str(self.noise_shape(x))
        if shape not in self.cached:
            self.cached[shape] = super().uniform(x)
        return self.cached[shape]


class SeedInCall(Layer):
    """A seed generator with a fixed seed is made in every call."""

    def uniform(self, x: Any) -> Any:
        return keras.random.uniform(self.noise_shape(x), dtype="float32", seed=keras.random.SeedGenerator(1337))


class ShortNoiseShape(Layer):
    """A noise shape without its first entry is accepted and broadcast: the batch shares one mask."""

    def noise_shape(self, x: Any) -> Tuple[int, ...]:
        return (1, x.shape[2])


class LowPrecisionNoise(Layer):
    """The uniform number is drawn in the dtype of the input."""

    def uniform(self, x: Any) -> Any:
        return keras.random.uniform(self.noise_shape(x), dtype=x.dtype, seed=self.seed_generator)


class DataFormatSwapped(Layer):
    """``channels_first`` is taken for ``channels_last``: positions share a coin, channels do not."""

    def noise_shape(self, x: Any) -> Tuple[int, ...]:
        return (x.shape[0], x.shape[1], 1)


class SampleWise(Layer):
    """One coin a sample: the noise shape lost its channels."""

    def noise_shape(self, x: Any) -> Tuple[int, ...]:
        return (x.shape[0], 1, 1)


class TrainingByDefault(Layer):
    """The argument ``training`` is not passed on."""

    def active(self, training: bool) -> bool:
        return self.rate > 0


class AnyRate(Layer):
    """A rate above one is obeyed silently."""

    def checked(self, rate: float) -> float:
        return float(rate)


class ConfigForgetsRate(Layer):
    """The configuration leaves the rate out: what is made from it, or cloned, has the default rate."""

    def __init__(self, rate: float = 0.5, seed: Optional[int] = None, **options: Any) -> None:
        super().__init__(rate, seed, **options)

    def get_config(self) -> Dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name != "rate"}
