"""paddle.Dropout: 124 of 200 gradients (0.62 of them) are not the cotangent times 10; of those that are wrong,
the median factor is 10.

gradient.scale, case float64 rate=0.9 grad zeros, seen with paddle 3.3.1.
Install: pip install 'paddlepaddle==3.3.1 setuptools' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import paddle

DTYPE = "float64"
RATE = 0.9
SEED = 1000
SHAPES = [(3, 11, 65)]
SHARED = ()  # axes along which all elements share one coin
DROPPED = 0.0
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


def gradient(layer, x, cotangent):
    x = x.detach()
    x.stop_gradient = False
    y = call(layer, x)
    (g,) = paddle.grad([y], [x], [cotangent])
    return numpy(y), numpy(g)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def measured():
    x = values(SHAPES[0], 1)
    x[np.random.default_rng(7).random(x.shape) < 0.5] = 0  # as after a ReLU
    x = abs(x)
    x, cotangent = tensor(x), tensor(values(SHAPES[0], 2))

    layer, ratios = make(RATE, SEED), []
    given = np.longdouble(numpy(x))
    for _ in range(16):
        y, g = gradient(layer, x, cotangent)
        kept = (y != DROPPED) & (given != 0) & (g != 0)
        ratios.append(g[kept] / np.longdouble(numpy(cotangent))[kept] / (y[kept] / given[kept]))
    ratio = np.concatenate(ratios)
    wrong = int((abs(ratio - 1) > 2.02 * UNIT * (3 + RATE / (1 - RATE))).sum())
    expected = "gradients of kept elements are the cotangent times the factor of the forward pass"
    observed = f"{wrong} of {ratio.size} in 16 calls are not; "
    observed += f"they are {ratio.min(initial=np.inf):.6g} to {ratio.max(initial=-np.inf):.6g} times that"
    defect = wrong > 0
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
