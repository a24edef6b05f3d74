"""equinox.Dropout: at rate 1, 2145 of 2145 gradients are wrong (2145 NaN), expected 0.

gradient.edges, seen with equinox-batch 0.13.8 on JAX 0.10.2.
Cases, of which the argument names the dtype: float32 rate=1 grad; float64 rate=1 grad; float16 rate=1 grad;
bfloat16 rate=1 grad.
Install: pip install 'equinox==0.13.8 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import jax
import jax.numpy as jnp
import equinox

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 1.0
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
        return jnp.where(coins < rate, DROPPED, wide * 0.0).astype(x.dtype)


def make(rate, seed):
    return {"made": ControlLayer(rate) if CONTROL else equinox.nn.Dropout(rate), "key": jax.random.key(seed)}


def once(layer, key, x, training):
    if CONTROL:
        return layer["made"](key, x, training)
    return layer["made"](x, key=key, inference=not training)


def gradient(layer, x, cotangent, wrap=lambda f: f):
    layer["key"], key = jax.random.split(layer["key"])
    y, pull = jax.vjp(wrap(lambda given: once(layer, key, given, True)), x)
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
