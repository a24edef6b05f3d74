"""flax.linen.SpatialDropout1D@jit: rate -0.1 is no probability, yet it is obeyed: 0% of the elements are 0.

rate.rejects-invalid, case rate=-0.1, seen with flax-linen 0.12.8 on JAX 0.10.2.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import jax
import jax.numpy as jnp
import flax.linen

DTYPE = "float32"
INVALID = "-0.1"
SEED = 1000
SHAPES = [(33, 3, 65)]


if DTYPE == "float64":
    jax.config.update("jax_enable_x64", True)


def tensor(values):
    return jnp.asarray(values, DTYPE)


def numpy(y):
    return np.asarray(y if DTYPE == "float64" else y.astype("float32"), np.float64)


def make(rate, seed):
    return {"made": flax.linen.Dropout(rate, broadcast_dims=(1,)), "key": jax.random.key(seed)}


def plain(layer, key, x, training):
    return layer["made"].apply({}, x, deterministic=not training, rngs={"dropout": key})


PROGRAMS = {}


def once(layer, key, x, training):
    if (id(layer), training) not in PROGRAMS:
        PROGRAMS[id(layer), training] = layer, jax.jit(lambda key, given: plain(layer, key, given, training))
    return PROGRAMS[id(layer), training][1](key, x)


def call(layer, x, training=True):
    layer["key"], key = jax.random.split(layer["key"])
    return once(layer, key, x, training)


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
