"""transformers.SwinDropPath@checkpoint: 2120 elements are neither the dropped value nor x times 1.001: input
4.625 became 9.25 (factor 2); right is 4.57507416 to 4.6841851.

scale.kept-values, case bfloat16 rate=0.001 66625,1,4 calls=2, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from transformers.models.swin.modeling_swin import SwinDropPath

DTYPE = "bfloat16"
RATE = 0.001
SEED = 1000
SHAPES = [(66625, 2, 2)]
SHARED = (1, 2)  # axes along which all elements share one coin
CALLS = 2
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-8  # unit roundoff of bfloat16


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return SwinDropPath(rate)


def call(layer, x, training=True):
    from torch.utils.checkpoint import checkpoint

    layer.train(training)
    return checkpoint(layer, x, use_reentrant=False)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


worst = wrong = total = 0
layer = make(RATE, SEED)
for i in range(CALLS):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    y, want = numpy(call(layer, x)), np.longdouble(numpy(x)) * EXACT_SCALE
    kept = ~np.all(y == DROPPED, axis=SHARED, keepdims=True) & np.ones(y.shape, bool)
    error = abs(y[kept] / want[kept] - 1) / UNIT
    worst, total = max(worst, float(error.max(initial=0))), total + error.size
    wrong += int((error > 1.01 * (3 + RATE / (1 - RATE))).sum())
expected = f"kept values are x times {SCALE:.6g}, to {3 + RATE / (1 - RATE):.3g} unit roundoffs of {DTYPE}"
observed = f"{wrong} of {total} kept values are further off, the worst by {worst:.4g} unit roundoffs"
defect = wrong > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
