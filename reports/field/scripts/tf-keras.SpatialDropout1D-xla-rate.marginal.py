"""tf_keras.SpatialDropout1D@xla: coins drop with probability 0.89636 instead of 0.9: 0.364 points less.

rate.marginal, case bfloat16 rate=0.9 4097,65,4 calls=3, seen with tf_keras 2.21.0 on tensorflow 2.21.0.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import tensorflow as tf
import tf_keras

DTYPE = "bfloat16"
RATE = 0.9
SEED = 1000
SHAPES = [(4097, 4, 65)]
SHARED = (1,)  # axes along which all elements share one coin
CHANNELS = 65
CALLS = 4
DROPPED = 0.0
ALLOWED = 0.0


def tensor(values):
    return tf.cast(tf.constant(values), DTYPE)


def numpy(y):
    return tf.cast(y, "float64").numpy()


def make(rate, seed):
    tf_keras.utils.set_random_seed(seed)
    return tf_keras.layers.SpatialDropout1D(rate, dtype=DTYPE)


GRAPHS = {}


def run(layer, name, body, *tensors):
    if (id(layer), name) not in GRAPHS:
        GRAPHS[id(layer), name] = layer, tf.function(body, jit_compile=True)
    return GRAPHS[id(layer), name][1](*tensors)


def call(layer, x, training=True):
    return run(layer, training, lambda given: layer(given, training=training), x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def coins(y):  # one coin a row and channel; True: all elements that share it are dropped
    return np.all(y == DROPPED, axis=SHARED).reshape(-1, CHANNELS)


def outputs(layer, calls=None):  # of successive training calls
    xs = [tensor(values(shape)) for shape in SHAPES]
    for i in range(calls or CALLS):
        yield numpy(call(layer, xs[i % len(xs)]))


def masks(layer, calls=None):  # coin matrices of successive training calls
    for y in outputs(layer, calls):
        yield coins(y)


dropped = total = 0
for mask in masks(make(RATE, SEED)):
    dropped, total = dropped + int(mask.sum()), total + mask.size
deviation = np.sqrt(total * RATE * (1 - RATE))
z = (dropped - total * RATE) / max(deviation, 1e-9)
expected = f"coins drop with probability {RATE:g}"
observed = f"{dropped} of {total} coins dropped: {dropped / total:.6g}, {z:+.1f} standard deviations"
defect = abs(z) > 6 + ALLOWED * total / max(deviation, 1e-9)  # a right layer: 2 in 10^9

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
