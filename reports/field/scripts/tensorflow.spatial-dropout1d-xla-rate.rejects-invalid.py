"""tensorflow.spatial_dropout1d@xla: rate nan is no probability, yet it is obeyed: 100% of the elements are 0.

rate.rejects-invalid, case rate=nan, seen with tensorflow 2.21.0.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import tensorflow as tf

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(33, 3, 65)]
SHARED = (1,)  # axes along which all elements share one coin


def tensor(values):
    return tf.cast(tf.constant(values), DTYPE)


def numpy(y):
    return tf.cast(y, "float64").numpy()


def seed_everything(seed):
    tf.random.set_seed(seed)


def make(rate, seed):
    seed_everything(seed)
    return lambda x: tf.nn.dropout(x, rate, noise_shape=[1 if a in SHARED else n for a, n in enumerate(x.shape)])


GRAPHS = {}


def run(layer, name, body, *tensors):
    if (id(layer), name) not in GRAPHS:
        GRAPHS[id(layer), name] = layer, tf.function(body, jit_compile=True)
    return GRAPHS[id(layer), name][1](*tensors)


def call(layer, x, training=True):
    return run(layer, training, lambda given: layer(given) if training else given, x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


expected = f"rate {INVALID} is refused"
try:
    y = numpy(call(make(float(INVALID), SEED), tensor(values(SHAPES[0]))))
    observed, defect = f"rate {INVALID} is obeyed: {np.mean(y == 0):.0%} of the elements are 0", True
except Exception as error:
    observed, defect = f"refused: {type(error).__name__}: {error}", False

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
