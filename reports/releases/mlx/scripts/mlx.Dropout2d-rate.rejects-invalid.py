"""mlx.Dropout2d: accepted rate NaN and returned NaN or Inf in 100 % of the elements, expected an error.

rate.rejects-invalid, case rate=nan, seen with mlx 0.32.4.
Install: pip install 'mlx==0.32.4 mlx-cpu==0.32.4 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import mlx.core as mx
import mlx.nn

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(33, 1, 3, 65)]
SHARED = (1, 2)  # axes along which all elements share one decision
DROPPED = 0.0
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
