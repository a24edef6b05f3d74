"""mlx.Dropout2d@jit: rate nan is no probability, yet it is obeyed: 0% of the elements are 0.

rate.rejects-invalid, case rate=nan, seen with mlx 0.32.4.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import mlx.core as mx
import mlx.nn

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(33, 1, 3, 65)]


def tensor(values):
    return mx.array(values).astype(getattr(mx, DTYPE))


def numpy(y):
    return np.array(y if DTYPE == "float64" else y.astype(mx.float32), np.float64)


def seed_everything(seed):
    mx.random.seed(seed)


def make(rate, seed):
    seed_everything(seed)
    return mlx.nn.Dropout2d(rate)


COMPILED = {}


def call(layer, x, training=True):
    layer.train(training)
    if (id(layer), training) not in COMPILED:
        state = [mx.random.state]
        COMPILED[id(layer), training] = layer, mx.compile(lambda given: layer(given), inputs=state, outputs=state)
    return COMPILED[id(layer), training][1](x)


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
