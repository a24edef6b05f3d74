"""paddle.Dropout: 1493 elements with magnitudes from 4.45e-307 to 3.14e+204 are not x times 1.42857, though
kept: input -1.9848322066592191e-263 became -2.8354746292295867e-263 (factor 1.42857, relative error
-1.7e-08); right is -2.8354745809417432e-263 to -2.83547458094174e-263.

scale.kept-values, case float64 rate=0.3 magnitudes, seen with paddle 3.3.1.
Install: pip install 'paddlepaddle==3.3.1 setuptools' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import paddle

DTYPE = "float64"
RATE = 0.3
SEED = 1000
SHAPES = [(25, 41, 65)]
SHARED = ()  # axes along which all elements share one coin
CALLS = 8
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-53  # unit roundoff of float64
CONTROL = False


def tensor(values):
    return paddle.to_tensor(values).astype(DTYPE)


def numpy(y):
    return y.astype("float64").numpy()


def seed_everything(seed):
    paddle.seed(seed)


class ControlLayer(paddle.nn.Layer):  # the control: a plain right layer
    def __init__(self, rate):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate

    def forward(self, x):
        if not self.training:
            return x
        coins = paddle.rand([1 if a in SHARED else n for a, n in enumerate(x.shape)], "float64")
        wide, rate = x.astype("float64"), self.rate
        gone = paddle.broadcast_to(coins < rate, x.shape)
        return paddle.where(gone, paddle.full_like(wide, DROPPED), wide * (0.0 if rate == 1 else 1 / (1 - rate))).astype(x.dtype)


def make(rate, seed):
    seed_everything(seed)
    return ControlLayer(rate) if CONTROL else paddle.nn.Dropout(rate)


def call(layer, x, training=True):
    layer.train() if training else layer.eval()
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
