"""tf_keras.SpatialDropout1D@xla: the gradient is 0 at 30% of kept positions and it is not 0 at 1365 positions of
dropped coins.

gradient.recompute, seen with tf_keras 2.21.0 on tensorflow 2.21.0.
Cases, of which the argument names the dtype: float32 rate=0.3 recompute tf.recompute_grad call 1; float64
rate=0.3 recompute tf.recompute_grad call 1; float16 rate=0.3 recompute tf.recompute_grad call 1; bfloat16
rate=0.3 recompute tf.recompute_grad call 1.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import tensorflow as tf
import tf_keras

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 0.3
SEED = 1000
SHAPES = [(33, 3, 65)]
SHARED = (1,)  # axes along which all elements share one coin
DROPPED = 0.0
REENTRANT = False


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


def step(layer, wrap):
    def body(x, cotangent):
        with tf.GradientTape() as tape:
            tape.watch(x)
            training = True
            y = wrap(lambda given: layer(given, training=training))(x)
        return y, tape.gradient(y, x, output_gradients=cotangent)

    return body


def recompute(layer, x, cotangent, reentrant):
    y, g = run(layer, "recompute", step(layer, tf.recompute_grad), x, cotangent)
    return numpy(y), numpy(g)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


layer, leaking, missing = make(RATE, SEED), 0, 0
x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
for i in range(8):
    y, g = recompute(layer, x, cotangent, REENTRANT)
    gone = np.all(y == DROPPED, axis=SHARED, keepdims=True) & np.ones(y.shape, bool)
    leaking, missing = leaking + int(((g != 0) & gone).sum()), missing + int(((g == 0) & ~gone).sum())
expected = "the recomputed forward pass flips the same coins: the gradient is 0 where the output was dropped, and only there"
observed = f"in 8 calls it is 0 at {missing} kept positions and not 0 at {leaking} dropped ones"
defect = leaking + missing > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
