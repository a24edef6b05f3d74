"""timm.DropBlock2d.normalised: 4455 of 4455 gradients are not the cotangent times 1.42857; the median factor is
1.44434.

gradient.scale, case float16 rate=0.3 grad plain, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from spatial_dropouts.adapters.lone_files import timm

DTYPE = "float16"
RATE = 0.3
SEED = 1000
SHAPES = [(3, 3, 11, 65)]
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-11  # unit roundoff of float16

def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return timm.DropBlock2d(rate, block_size=1)


def call(layer, x, training=True):
    layer.train(training)
    return layer(x)


def gradient(layer, x, cotangent):
    x = x.detach().requires_grad_()
    y = call(layer, x)
    (g,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


x = values(SHAPES[0], 1)
x, cotangent = tensor(x), tensor(values(SHAPES[0], 2))

layer = make(RATE, SEED)
gradient(layer, x, cotangent)
y, g = gradient(layer, x, cotangent)
kept = g != 0
ratio = g[kept] / np.longdouble(numpy(cotangent))[kept]
wrong = int((abs(ratio / EXACT_SCALE - 1) > 1.01 * UNIT * (3 + RATE / (1 - RATE))).sum())
expected = f"gradients of kept elements are the cotangent times {SCALE:.6g}"
observed = f"{wrong} of {ratio.size} are not; the median factor is {float(np.median(ratio)):.6g}"
defect = wrong > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
