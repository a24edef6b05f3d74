"""keras.SpatialDropout1D@jax: at rate 1, 6435 of 6435 gradients are wrong (6435 NaN), expected 0.

gradient.edges, seen with keras@jax 3.13.2 on jax 0.10.2.
Cases, of which the argument names the dtype: float32 rate=1 grad; float16 rate=1 grad; bfloat16 rate=1 grad.
Install: pip install 'keras==3.13.2 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
import keras
import jax
import sys

import numpy as np

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 1.0
SEED = 1000
SHAPES = [(33, 3, 65)]
SHARED = (1,)  # axes along which all elements share one decision
DROPPED = 0.0
CONTROL = False


def tensor(values):
    return keras.ops.cast(keras.ops.convert_to_tensor(np.asarray(values, "float32")), DTYPE)


def numpy(y):
    wide = "float64" if DTYPE == "float64" else "float32"
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, wide)), np.float64)


class ControlLayer(keras.Layer):  # the control: a plain right layer
    def __init__(self, rate, seed):
        super().__init__(dtype=DTYPE)
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate
        self.generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, x, training=True):
        if not training:
            return x
        coins = keras.random.uniform([1 if a in SHARED else n for a, n in enumerate(x.shape)], dtype="float32", seed=self.generator)
        wide, rate = keras.ops.cast(x, "float32"), self.rate
        return keras.ops.cast(keras.ops.where(coins < rate, DROPPED, wide * 0.0), x.dtype)


def make(rate, seed):
    keras.utils.set_random_seed(seed)
    return ControlLayer(rate, seed) if CONTROL else keras.layers.SpatialDropout1D(rate, dtype=DTYPE)


def call(layer, x, training=True):
    return layer(x, training=training)


def forward(layer, x, training=True):  # stateless: the seed state goes in and comes out
    state = [v.value for v in layer.non_trainable_variables]
    return layer.stateless_call([v.value for v in layer.trainable_variables], state, x, training=training)


def moved_on(layer, state):
    for variable, value in zip(layer.non_trainable_variables, state):
        variable.assign(value)


def gradient(layer, x, cotangent, wrap=lambda f: f):
    y, pull, state = jax.vjp(wrap(lambda given: forward(layer, given)), x, has_aux=True)
    moved_on(layer, state)
    return numpy(y), numpy(pull(cotangent)[0])


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def measured():
    x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
    y, g = gradient(make(RATE, SEED), x, cotangent)
    right = y == numpy(x) if RATE == 0 else y == DROPPED  # where the forward pass is wrong, its gradient says nothing more
    wrong = right & (g != (numpy(cotangent) if RATE == 0 else 0))
    expected = f"the gradient at rate {RATE:g} is {'the cotangent' if RATE == 0 else '0'} where the output is right"
    observed = f"of {int(right.sum())} it is not at {int(wrong.sum())}, and not finite at {int((right & ~np.isfinite(g)).sum())}"
    defect = bool(wrong.any())
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
