"""haiku.SpatialDropout1D: accepted rate NaN and returned NaN or Inf in 100 % of the elements, expected an error.

rate.rejects-invalid, case rate=nan, seen with haiku 0.0.17 on JAX 0.10.2.
Install: pip install 'dm-haiku==0.0.17 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import jax
import jax.numpy as jnp
import haiku

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(33, 3, 65)]
SHARED = (1,)  # axes along which all elements share one decision
DROPPED = 0.0
CONTROL = False


if DTYPE == "float64":
    jax.config.update("jax_enable_x64", True)


def tensor(values):
    return jnp.asarray(values, DTYPE)


def numpy(y):
    return np.asarray(y if DTYPE == "float64" else y.astype("float32"), np.float64)


class ControlLayer:  # the control: a plain right layer
    def __init__(self, rate):
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate

    def __call__(self, key, x, training):
        if not training:
            return x
        coins = jax.random.uniform(key, [1 if a in SHARED else n for a, n in enumerate(x.shape)])
        wide, rate = x if x.dtype == "float64" else x.astype("float32"), self.rate
        return jnp.where(coins < rate, DROPPED, wide * (0.0 if rate == 1 else 1 / (1 - rate))).astype(x.dtype)


def make(rate, seed):
    return {"made": ControlLayer(rate) if CONTROL else lambda key, x: haiku.dropout(key, rate, x, broadcast_dims=(1,)), "key": jax.random.key(seed)}


def once(layer, key, x, training):
    if CONTROL:
        return layer["made"](key, x, training)
    return layer["made"](key, x) if training else x


def call(layer, x, training=True):
    layer["key"], key = jax.random.split(layer["key"])
    return once(layer, key, x, training)


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
