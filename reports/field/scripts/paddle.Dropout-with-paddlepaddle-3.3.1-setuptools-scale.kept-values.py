"""paddle.Dropout: 133107 elements are neither the dropped value nor x times 1.001: input 0.937850265 became
0.938789042 (factor 1.001); right is 0.938789054 to 0.938789054.

scale.kept-values, case float64 rate=0.001 1025,65,1 calls=2, seen with paddle 3.3.1.
Install: pip install 'paddlepaddle==3.3.1 setuptools' numpy
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import paddle

DTYPE = "float64"
RATE = 0.001
SEED = 1000
SHAPES = [(25, 41, 65)]
SHARED = ()  # axes along which all elements share one coin
CALLS = 2
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-53  # unit roundoff of float64


def tensor(values):
    return paddle.to_tensor(values).astype(DTYPE)


def numpy(y):
    return y.astype("float64").numpy()


def seed_everything(seed):
    paddle.seed(seed)


def make(rate, seed):
    seed_everything(seed)
    return paddle.nn.Dropout(rate)


def call(layer, x, training=True):
    layer.train() if training else layer.eval()
    return layer(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


worst = wrong = total = 0
layer = make(RATE, SEED)
for i in range(CALLS):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    y, want = numpy(call(layer, x)), np.longdouble(numpy(x)) * EXACT_SCALE
    kept = ~np.all(y == DROPPED, axis=SHARED, keepdims=True) & np.ones(y.shape, bool)
    error = abs(y[kept] / want[kept] - 1) / UNIT
    worst, total = max(worst, float(error.max(initial=0))), total + error.size
    wrong += int((error > 1.01 * (3 + RATE / (1 - RATE))).sum())
expected = f"kept values are x times {SCALE:.6g}, to {3 + RATE / (1 - RATE):.3g} unit roundoffs of {DTYPE}"
observed = f"{wrong} of {total} kept values are further off, the worst by {worst:.4g} unit roundoffs"
defect = wrong > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
