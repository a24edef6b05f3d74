"""Our Keras layer's selection on TensorFlow: stateless, seeded by the layer's seed and the number of the call."""

from __future__ import annotations

from typing import Any, Tuple

import tensorflow as tf

from spatial_dropouts.custom.exact import fraction, kept


def select(x: Any, shape: Tuple[Any, ...], rate: float, numbers: Any) -> Any:
    """0 where a coin drops, ``x / (1 - rate)`` elsewhere. ``numbers``: two whole numbers that no other call has."""
    # drawn in float64 whatever the dtype of x: one of bfloat16 turns rate .3 into .3047
    drops = tf.random.stateless_uniform(shape, tf.cast(numbers, tf.int32), dtype=tf.float64) < rate
    if x.dtype == tf.float64:
        # there is no wider dtype: 1 - rate would be rounded, and shift all kept values alike
        up, down = fraction(rate)
        quotient = x * up / down
    else:
        quotient = tf.cast(tf.cast(x, tf.float64) / kept(rate), x.dtype)
    return tf.where(drops, tf.zeros((), x.dtype), quotient)
