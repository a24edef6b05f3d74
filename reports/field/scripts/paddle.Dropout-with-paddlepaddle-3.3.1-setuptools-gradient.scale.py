"""paddle.Dropout: 1493 of 1493 gradients are not the cotangent times 1.42857; the median factor is 1.42857.

gradient.scale, case float64 rate=0.3 grad plain, seen with paddle 3.3.1.
Install: pip install 'paddlepaddle==3.3.1 setuptools' numpy
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import paddle

DTYPE = "float64"
RATE = 0.3
SEED = 1000
SHAPES = [(3, 11, 65)]
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


def gradient(layer, x, cotangent):
    x = x.detach()
    x.stop_gradient = False
    y = call(layer, x)
    (g,) = paddle.grad([y], [x], [cotangent])
    return numpy(y), numpy(g)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


x = values(SHAPES[0], 1)
x, cotangent = tensor(x), tensor(values(SHAPES[0], 2))

layer, ratios = make(RATE, SEED), []
for _ in range(16):
    y, g = gradient(layer, x, cotangent)
    ratios.append(g[g != 0] / np.longdouble(numpy(cotangent))[g != 0])
ratio = np.concatenate(ratios)
wrong = int((abs(ratio / EXACT_SCALE - 1) > 1.01 * UNIT * (3 + RATE / (1 - RATE))).sum())
expected = f"gradients of kept elements are the cotangent times {SCALE:.6g}"
observed = f"{wrong} of {ratio.size} in 16 calls are not; the factors lie from {ratio.min():.6g} to {ratio.max():.6g}"
defect = wrong > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
