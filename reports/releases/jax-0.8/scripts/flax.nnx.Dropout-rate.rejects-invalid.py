"""flax.nnx.Dropout: accepted rate -0.1 and dropped nothing, but changed the values, expected an error.

rate.rejects-invalid, case rate=-0.1, seen with flax-nnx 0.11.2 on JAX 0.8.3.
Install: pip install 'flax==0.11.2 jax==0.8.3 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import jax
import jax.numpy as jnp
from flax import nnx

DTYPE = "float32"
INVALID = "-0.1"
SEED = 1000
SHAPES = [(3, 11, 65)]
SHARED = ()  # axes along which all elements share one decision
DROPPED = 0.0
CONTROL = False


if DTYPE == "float64":
    jax.config.update("jax_enable_x64", True)


def tensor(values):
    return jnp.asarray(values, DTYPE)


def numpy(y):
    return np.asarray(y if DTYPE == "float64" else y.astype("float32"), np.float64)


class ControlLayer(nnx.Module):  # the control: a plain right layer
    def __init__(self, rate, seed):
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate
        self.rngs = nnx.Rngs(seed)

    def __call__(self, x, deterministic=False):
        if deterministic:
            return x
        coins = jax.random.uniform(self.rngs(), [1 if a in SHARED else n for a, n in enumerate(x.shape)])
        wide, rate = x if x.dtype == "float64" else x.astype("float32"), self.rate
        return jnp.where(coins < rate, DROPPED, wide * (0.0 if rate == 1 else 1 / (1 - rate))).astype(x.dtype)


def make(rate, seed):
    return ControlLayer(rate, seed) if CONTROL else nnx.Dropout(rate, rngs=nnx.Rngs(seed))


def call(layer, x, training=True):
    return layer(x, deterministic=not training)


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
