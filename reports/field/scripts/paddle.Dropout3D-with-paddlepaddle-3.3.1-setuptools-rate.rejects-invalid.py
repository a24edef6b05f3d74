"""paddle.Dropout3D: accepted rate NaN and returned NaN or Inf in 100 % of the elements.

rate.rejects-invalid, case rate=nan, seen with paddle 3.3.1.
Install: pip install 'paddlepaddle==3.3.1 setuptools' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import paddle

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(33, 65, 1, 1, 3)]
SHARED = (2, 3, 4)  # axes along which all elements share one coin
DROPPED = 0.0
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
    return ControlLayer(rate) if CONTROL else paddle.nn.Dropout3D(rate)


def call(layer, x, training=True):
    layer.train() if training else layer.eval()
    return layer(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def measured():
    expected = f"rate {INVALID} is refused"
    try:
        y = numpy(call(make(float(INVALID), SEED), tensor(values(SHAPES[0]))))
        observed, defect = f"accepted rate {INVALID}; {np.mean(y == 0):.1%} of the elements are 0", True
    except Exception as error:
        observed, defect = f"refused: {type(error).__name__}: {error}", False
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
