"""tf.nn.experimental.stateless_dropout inside a tf.function drops at another rate than asked for in low precision.

The seed is given as a tensor, anew at each call: the function is traced once. Exits with status 1 where the defect shows and
not in the control, with 4 where it shows in both, else with 0. The first argument is the dtype.
"""

import sys

import numpy as np
import tensorflow as tf

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "bfloat16"
RATE, SHAPE, CALLS = 0.3, (4097, 2, 65), 40


@tf.function
def dropped(x, seed):
    noise_shape = (SHAPE[0], 1, SHAPE[2])
    y = tf.nn.experimental.stateless_dropout(x, RATE, seed, noise_shape=noise_shape)
    return tf.reduce_sum(tf.cast(y[:, 0] == 0, tf.int64))


@tf.function
def plain(x, seed):  # the control: uniform numbers in float32
    coins = tf.random.stateless_uniform((SHAPE[0], 1, SHAPE[2]), seed)
    y = tf.where(coins < RATE, 0.0, tf.cast(x, tf.float32) / (1 - RATE))
    return tf.reduce_sum(tf.cast(tf.cast(y, x.dtype)[:, 0] == 0, tf.int64))


def measured(function):
    x = tf.ones(SHAPE, DTYPE)
    count = sum(int(function(x, tf.constant([1000, call], tf.int32))) for call in range(CALLS))
    coins = CALLS * SHAPE[0] * SHAPE[2]
    z = (count - coins * RATE) / np.sqrt(coins * RATE * (1 - RATE))
    return abs(z) > 6, f"{count} of {coins} coins ({count / coins:.6f}), {z:+.1f} standard deviations away"


(wrong, observed), (same, control) = measured(dropped), measured(plain)
print(f"expected: coins drop with probability {RATE}")
print("observed:", observed)
print("control:", control)
sys.exit(4 if wrong and same else 1 if wrong else 0)
