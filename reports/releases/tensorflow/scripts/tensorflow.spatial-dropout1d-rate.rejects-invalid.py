"""tensorflow.spatial_dropout1d: accepted rate NaN and dropped everything, expected an error.

rate.rejects-invalid, case rate=nan, seen with tensorflow 2.21.0.
Install: pip install 'tensorflow-cpu==2.21.0 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import tensorflow as tf

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(33, 3, 65)]
SHARED = (1,)  # axes along which all elements share one decision
DROPPED = 0.0
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


def measured():
    expected = f"rate {INVALID} is rejected"
    try:
        y = numpy(call(make(float(INVALID), SEED), tensor(values(SHAPES[0]))))
        observed, defect = f"accepted rate {INVALID}; {np.mean(y == 0):.1%} of the elements are 0", True
    except Exception as error:
        observed, defect = f"rejected: {type(error).__name__}: {error}", False
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
