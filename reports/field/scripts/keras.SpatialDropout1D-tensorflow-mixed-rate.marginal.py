"""keras.SpatialDropout1D@tensorflow@mixed: coins drop with probability 0.0019752 instead of 0.001: 0.0975 points
more.

rate.marginal, seen with keras@tensorflow 3.15.1 on tensorflow 2.21.0.
Cases, of which the argument names the dtype: float16 rate=0.001 4097,65,4 calls=2; bfloat16 rate=0.001
4097,65,4 calls=2.
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import tensorflow as tf
import sys

import numpy as np

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float16"
RATE = 0.001
SEED = 1000
SHAPES = [(4097, 4, 65)]
SHARED = (1,)  # axes along which all elements share one coin
CHANNELS = 65
CALLS = 2
DROPPED = 0.0
ALLOWED = 0.0
CONTROL = False


def tensor(values):
    return keras.ops.cast(keras.ops.convert_to_tensor(np.asarray(values, "float32")), DTYPE)


def numpy(y):
    wide = "float64" if DTYPE == "float64" else "float32"
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, wide)), np.float64)


class ControlLayer:  # the control: a plain right layer
    def __init__(self, rate, seed):
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate
        self.generator = tf.random.Generator.from_seed(seed)

    def __call__(self, x, training=True):
        x = tf.cast(x, DTYPE)
        if not training:
            return x
        coins = self.generator.uniform([1 if a in SHARED else n for a, n in enumerate(x.shape)], dtype=tf.float64)
        wide, rate = tf.cast(x, tf.float64), self.rate
        return tf.cast(tf.where(coins < rate, tf.constant(DROPPED, tf.float64), wide * (0.0 if rate == 1 else 1 / (1 - rate))), DTYPE)


def make(rate, seed):
    keras.utils.set_random_seed(seed)
    return ControlLayer(rate, seed) if CONTROL else keras.layers.SpatialDropout1D(rate, dtype="mixed_" + DTYPE)


def call(layer, x, training=True):  # under a mixed policy the layer casts what it is given
    return layer(keras.ops.cast(x, "float32"), training=training)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def coins(y):  # one coin a row and channel, read off the first of the elements that share it; True: dropped
    return (y == DROPPED)[tuple(0 if a in SHARED else slice(None) for a in range(y.ndim))].reshape(-1, CHANNELS)


def outputs(layer, calls=None):  # of successive training calls
    given = [values(shape) for shape in SHAPES]
    for i in range(calls or CALLS):
        x = tensor(given[i % len(given)])  # anew for every call: a layer may overwrite it
        yield numpy(call(layer, x))


def masks(layer, calls=None):  # coin matrices of successive training calls
    for y in outputs(layer, calls):
        yield coins(y)


def measured():
    dropped = total = 0
    for mask in masks(make(RATE, SEED)):
        dropped, total = dropped + int(mask.sum()), total + mask.size
    deviation = np.sqrt(total * RATE * (1 - RATE))
    z = (dropped - total * RATE) / max(deviation, 1e-9)
    expected = f"coins drop with probability {RATE:g}"
    observed = f"{dropped} of {total} coins dropped: {dropped / total:.6g}, {z:+.1f} standard deviations"
    defect = abs(z) > 6 + ALLOWED * total / max(deviation, 1e-9)  # a right layer: 2 in 10^9
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
