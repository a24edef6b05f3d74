"""tf_keras.SpatialDropout1D@xla: two fresh layers with the same seed give different masks.

seed.reproducible, seen with tf_keras 2.21.0 on tensorflow 2.21.0.
Cases, of which the argument names the dtype: float32 5,7,3 way=global; float64 5,7,3 way=global; float16
5,7,3 way=global; bfloat16 5,7,3 way=global.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import tensorflow as tf
import tf_keras

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 0.5
SEED = 1000
SHAPES = [(5, 3, 7)]
CALLS = 8


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


def outputs(layer, calls=None):  # of successive training calls
    xs = [tensor(values(shape)) for shape in SHAPES]
    for i in range(calls or CALLS):
        yield numpy(call(layer, xs[i % len(xs)]))


runs = [list(outputs(make(RATE, SEED), 3)) for _ in range(2)]
differ = [i for i in range(3) if not np.array_equal(runs[0][i], runs[1][i])]
expected = "the same seed gives the same masks"
observed = f"calls {differ} of two layers with seed {SEED} differ" if differ else "they are the same"
defect = bool(differ)

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
