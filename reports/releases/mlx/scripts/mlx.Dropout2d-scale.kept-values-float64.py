"""mlx.Dropout2d: 532532 kept values are wrong, expected x times 1.001; input 1.7392468740336922 becomes
1.7409878608578782, expected 1.740987861895587 to 1.7409878618955885 (factor 1.001, relative error -5.96e-10).

scale.kept-values, case float64 rate=0.001 1025,65,4 calls=2, seen with mlx 0.31.2.
Install: pip install 'mlx==0.31.2 mlx-cpu==0.31.2 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import mlx.core as mx
import mlx.nn

DTYPE = "float64"
RATE = 0.001
SEED = 1000
SHAPES = [(1025, 2, 2, 65)]
SHARED = (1, 2)  # axes along which all elements share one decision
CALLS = 2
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-53  # unit roundoff of float64
CONTROL = False


def tensor(values):
    return mx.array(values).astype(getattr(mx, DTYPE))


def numpy(y):
    return np.array(y if DTYPE == "float64" else y.astype(mx.float32), np.float64)


def seed_everything(seed):
    mx.random.seed(seed)


class ControlLayer(mlx.nn.Module):  # the control: a plain right layer
    def __init__(self, rate):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate

    def __call__(self, x):
        if not self.training:
            return x
        coins = mx.random.uniform(shape=[1 if a in SHARED else n for a, n in enumerate(x.shape)])
        wide, rate = x if x.dtype == mx.float64 else x.astype(mx.float32), self.rate
        return mx.where(coins < rate, DROPPED, wide * (0.0 if rate == 1 else 1 / (1 - rate))).astype(x.dtype)


def make(rate, seed):
    seed_everything(seed)
    return ControlLayer(rate) if CONTROL else mlx.nn.Dropout2d(rate)


def call(layer, x, training=True):
    layer.train(training)
    return layer(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def measured():
    worst = wrong = total = 0
    layer = make(RATE, SEED)
    for i in range(CALLS):
        x = tensor(values(SHAPES[i % len(SHAPES)], i))
        want = np.longdouble(numpy(x)) * EXACT_SCALE
        y = numpy(call(layer, x))
        kept = y != DROPPED
        error = abs(y[kept] / want[kept] - 1) / UNIT
        worst, total = max(worst, float(error.max(initial=0))), total + error.size
        wrong += int((error > 1.01 * (3 + RATE / (1 - RATE))).sum())
    expected = f"kept values are x times {SCALE:.6g}, to {3 + RATE / (1 - RATE):.3g} unit roundoffs of {DTYPE}"
    observed = f"{wrong} of {total} kept values are further off, the worst by {worst:.4g} unit roundoffs"
    defect = wrong > 0
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
