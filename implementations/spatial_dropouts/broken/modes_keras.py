"""Planted defects of Keras' modes, ``n l c -> n c``: right in eager calls, wrong in one mode; with a right twin."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from keras import ops, random

from spatial_dropouts.broken.keras_layers import Layer


class FrozenByNumpy(Layer):
    """NumPy draws: at every eager call, but once a trace."""

    def __init__(self, rate: float, seed: Optional[int] = None, **options: Any) -> None:
        super().__init__(rate, seed, **options)
        self.numpy = np.random.default_rng(int(ops.convert_to_numpy(self.seed_generator.state.value)[0]))

    def uniform(self, x: Any) -> Any:
        return ops.convert_to_tensor(self.numpy.random(self.noise_shape(x)).astype(np.float32))


class LowPrecisionWhereMixed(Layer):
    """Only under a mixed policy, the uniform number is drawn in the dtype that the layer computes in."""

    def uniform(self, x: Any) -> Any:
        dtype = self.compute_dtype if self.compute_dtype != self.variable_dtype else "float32"
        return random.uniform(self.noise_shape(x), dtype=dtype, seed=self.seed_generator)


class PerReplica(Layer):
    """Right on replicas too: TensorFlow's own generator, of which every replica has a stream of its own."""

    def __init__(self, rate: float, seed: Optional[int] = None, **options: Any) -> None:
        import tensorflow as tf

        super().__init__(rate, seed, **options)
        self.stream = tf.random.Generator.from_seed(int(self.seed_generator.state.value.numpy()[0]))

    def uniform(self, x: Any) -> Any:
        return self.stream.uniform(self.noise_shape(x))
