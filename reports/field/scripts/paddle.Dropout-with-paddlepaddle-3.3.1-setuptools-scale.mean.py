"""paddle.Dropout: the factor that kept values share is 1.00100099 instead of 1.001001 (-1.289e-08 relative,
-116080195.68 u): another order of roundings.

scale.mean, case float64 rate=0.001, seen with paddle 3.3.1.
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
CALLS = 8
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-53  # unit roundoff of float64
MEAN_BOUND = 3.001001001001001


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


layer, worst, where = make(RATE, SEED), 0.0, ""
for i in range(max(CALLS, 16)):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    y, want = numpy(call(layer, x)), np.longdouble(numpy(x)) * EXACT_SCALE
    kept = y != DROPPED
    mean = float((y[kept] / want[kept] - 1).mean()) / UNIT if kept.any() else 0.0
    if abs(mean) > abs(worst):
        worst, where = mean, f"the {kept.sum()} kept values of call {i + 1}"
expected = f"the kept values of a call are x times {SCALE:.6g} on average, to {MEAN_BOUND:.3g} unit roundoffs of {DTYPE}"
observed = f"{where} are off by {worst:+.4g} unit roundoffs on average ({worst * UNIT:+.3%})"
defect = abs(worst) > MEAN_BOUND

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
