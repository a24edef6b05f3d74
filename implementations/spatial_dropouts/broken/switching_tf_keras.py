"""A planted defect of how Keras 2 layers are switched, seen by its learning phase alone, with a right twin."""

from __future__ import annotations

from typing import Any, Optional

import tensorflow as tf
import tf_keras
from tf_keras.src.engine import base_layer_utils

from spatial_dropouts.broken.base import valid


class Right(tf_keras.layers.Layer):
    """The right twin: whole channels, ``n l c -> n c``; Keras itself says whether a call is training."""

    def __init__(self, rate: float, **options: Any) -> None:
        super().__init__(**options)
        self.rate = valid(rate)

    def call(self, x: Any, training: Optional[bool] = None) -> Any:
        if not training or not self.rate:
            return x
        shape = tf.shape(x)
        drawn = tf.random.uniform(tf.stack([shape[0], 1, shape[2]]), dtype=tf.float64)
        scale = tf.cast(1 / (1 - self.rate) if self.rate < 1 else 1.0, x.dtype)
        return tf.where(drawn >= self.rate, x * scale, tf.zeros([], x.dtype))


class LearningPhaseNotAsked(Right):
    """What neither the call nor a layer around it says is inference, whatever the learning phase is."""

    def __call__(self, x: Any, training: Optional[bool] = None) -> Any:
        if training is None:
            training = bool(base_layer_utils.call_context().training)
        return super().__call__(x, training=training)
