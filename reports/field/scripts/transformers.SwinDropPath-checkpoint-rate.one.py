"""transformers.SwinDropPath@checkpoint: at rate 1, 396 elements are not dropped and 396 are not finite, of 8580
coins.

rate.one, seen with torch 2.13.0+cpu.
Cases, of which the argument names the dtype: float32 rate=1; float64 rate=1; float16 rate=1; bfloat16 rate=1.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from transformers.models.swin.modeling_swin import SwinDropPath

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
SEED = 1000
SHAPES = [(4097, 1, 3)]
DROPPED = 0.0


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


kept = infinite = total = 0
layer = make(1.0, SEED)
for _ in range(8):
    y = numpy(call(layer, tensor(values(SHAPES[0]))))
    kept, infinite, total = kept + int((y != DROPPED).sum()), infinite + int((~np.isfinite(y)).sum()), total + y.size
expected = "rate 1 drops everything"
observed = f"{kept} of {total} elements are not dropped, {infinite} of them not finite"
defect = kept > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
