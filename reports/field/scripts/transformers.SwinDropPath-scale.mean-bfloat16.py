"""transformers.SwinDropPath: the factor that kept values share is 1.046875 instead of 1.001001 (+4.583e-02
relative, +11.73 u): another order of roundings.

scale.mean, case bfloat16 rate=0.001, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from transformers.models.swin.modeling_swin import SwinDropPath

DTYPE = "bfloat16"
RATE = 0.001
SEED = 1000
SHAPES = [(1025, 1, 3)]
CALLS = 8
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-8  # unit roundoff of bfloat16
MEAN_BOUND = 3.001001001001001

def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return SwinDropPath(rate)


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
