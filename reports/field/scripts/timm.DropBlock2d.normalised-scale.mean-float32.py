"""timm.DropBlock2d.normalised: the factor that kept values share is 1.00122225 instead of 1.001001 (+2.210e-04
relative, +3708.27 u): another order of roundings.

scale.mean, case float32 rate=0.001, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from spatial_dropouts.adapters.lone_files import timm

DTYPE = "float32"
RATE = 0.001
SEED = 1000
SHAPES = [(25, 3, 41, 65)]
CALLS = 8
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-24  # unit roundoff of float32
MEAN_BOUND = 3.001001001001001

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


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


total, error = 0, 0.0
layer = make(RATE, SEED)
for i in range(max(CALLS, 16)):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    y, want = numpy(call(layer, x)), np.longdouble(numpy(x)) * EXACT_SCALE
    kept = y != DROPPED
    total, error = total + int(kept.sum()), error + float((y[kept] / want[kept] - 1).sum())
mean = error / max(total, 1) / UNIT
expected = f"kept values are x times {SCALE:.6g} on average, to {MEAN_BOUND:.3g} unit roundoffs of {DTYPE}"
observed = f"{total} kept values are off by {mean:+.4g} unit roundoffs on average ({mean * UNIT:+.3%})"
defect = abs(mean) > MEAN_BOUND

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
