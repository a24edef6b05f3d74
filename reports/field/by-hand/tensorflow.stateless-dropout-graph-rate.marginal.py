"""tf.nn.experimental.stateless_dropout inside a tf.function drops at another rate than asked for in low precision.

The seed is given as a tensor, anew at each call: the function is traced once. Exits with status 1 where the defect shows and
with 0 where it does not. The first argument is the dtype.
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


x = tf.ones(SHAPE, DTYPE)
count = sum(int(dropped(x, tf.constant([1000, call], tf.int32))) for call in range(CALLS))
coins = CALLS * SHAPE[0] * SHAPE[2]
z = (count - coins * RATE) / np.sqrt(coins * RATE * (1 - RATE))
print(f"expected: coins drop with probability {RATE}")
print(f"observed: {count} of {coins} coins ({count / coins:.6f}), {z:+.1f} standard deviations away")
sys.exit(1 if abs(z) > 6 else 0)
