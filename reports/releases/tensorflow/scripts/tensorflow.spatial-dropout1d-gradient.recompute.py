"""tensorflow.spatial_dropout1d: the gradient is 0 at 28% of the kept positions, expected 0%; the gradient is not
0 at 1356 dropped positions, expected none.

gradient.recompute, seen with tensorflow 2.21.0.
Cases, of which the argument names the dtype: float32 rate=0.3 recompute tf.recompute_grad call 1; float64
rate=0.3 recompute tf.recompute_grad call 1; float16 rate=0.3 recompute tf.recompute_grad call 1; bfloat16
rate=0.3 recompute tf.recompute_grad call 1.
Install: pip install 'tensorflow-cpu==2.21.0 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import tensorflow as tf

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 0.3
SEED = 1000
SHAPES = [(33, 3, 65)]
SHARED = (1,)  # axes along which all elements share one decision
DROPPED = 0.0
REENTRANT = False
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


def recompute(layer, x, cotangent, reentrant):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.recompute_grad(lambda given: call(layer, given))(x)
    return numpy(y), numpy(tape.gradient(y, x, output_gradients=cotangent))


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def measured():
    layer, leaking, missing = make(RATE, SEED), 0, 0
    x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
    for i in range(8):
        y, g = recompute(layer, x, cotangent, REENTRANT)
        gone = y == DROPPED
        leaking, missing = leaking + int(((g != 0) & gone).sum()), missing + int(((g == 0) & ~gone).sum())
    expected = "the recomputed forward pass draws the same mask: the gradient is 0 where the output was dropped, and only there"
    observed = f"in 8 calls it is 0 at {missing} kept positions and not 0 at {leaking} dropped ones"
    defect = leaking + missing > 0
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
