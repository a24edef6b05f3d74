"""brainstate.Dropout1d@jit: at rate 1, 6435 of 6435 gradients are wrong, 6435 of them not finite.

gradient.edges, seen with brainstate 0.5.4 on JAX 0.10.2.
Cases, of which the argument names the dtype: float32 rate=1 grad; float64 rate=1 grad; float16 rate=1 grad;
bfloat16 rate=1 grad.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import brainstate
import jax
import jax.numpy as jnp

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 1.0
SEED = 1000
SHAPES = [(33, 3, 65)]


if DTYPE == "float64":
    jax.config.update("jax_enable_x64", True)


def tensor(values):
    return jnp.asarray(values, DTYPE)


def numpy(y):
    return np.asarray(y if DTYPE == "float64" else y.astype("float32"), np.float64)


def seed_everything(seed):
    brainstate.random.seed(seed)


def make(rate, seed):
    seed_everything(seed)
    return brainstate.nn.Dropout1d(1 - rate)


def call(layer, x, training=True):
    def step(given):
        with brainstate.environ.context(fit=training):
            return layer(given)

    return brainstate.transform.jit(step)(x)


def gradient(layer, x, cotangent):
    y, pull = jax.vjp(lambda given: call(layer, given), x)
    return numpy(y), numpy(pull(cotangent)[0])


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
y, g = gradient(make(RATE, SEED), x, cotangent)
want = numpy(cotangent) if RATE == 0 else np.zeros(g.shape)
expected = f"the gradient at rate {RATE:g} is {'the cotangent' if RATE == 0 else '0'}"
observed = f"{int((g != want).sum())} of {g.size} are not, {int((~np.isfinite(g)).sum())} are not finite"
defect = bool((g != want).any())

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
