"""tensorflow.spatial_dropout1d: the layer drops with probability 0.0019433, expected 0.001: 0.0943 points too
high.

rate.marginal, seen with tensorflow 2.21.0.
Cases, of which the argument names the dtype: float16 rate=0.001 4097,65,4 calls=2; bfloat16 rate=0.001
4097,65,4 calls=2.
Install: pip install 'tensorflow-cpu==2.21.0 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import tensorflow as tf

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float16"
RATE = 0.001
SEED = 1000
SHAPES = [(4097, 4, 65)]
SHARED = (1,)  # axes along which all elements share one decision
CHANNELS = 65
CALLS = 2
DROPPED = 0.0
ALLOWED = 0.0
CONTROL = False


def tensor(values):
    return tf.cast(tf.constant(values), DTYPE)


def numpy(y):
    return tf.cast(y, "float64").numpy()


def seed_everything(seed):
    tf.random.set_seed(seed)


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
    seed_everything(seed)
    return ControlLayer(rate, seed) if CONTROL else lambda x: tf.nn.dropout(x, rate, noise_shape=[1 if a in SHARED else n for a, n in enumerate(x.shape)])


def call(layer, x, training=True):
    return layer(x) if training else x


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
    expected = f"the drop rate is {RATE:g}"
    observed = f"{dropped} of {total} decisions dropped: {dropped / total:.6g}, {z:+.1f} standard deviations"
    defect = abs(z) > 6 + ALLOWED * total / max(deviation, 1e-9)  # a right layer: 2 in 10^9
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
