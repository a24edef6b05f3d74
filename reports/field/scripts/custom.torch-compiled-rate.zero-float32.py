"""custom.torch@compiled: rate 0 is refused: RuntimeError: the call ran outside compiled code, although it was
compiled: this is no compiled audit.

rate.zero, case float32 rate=0, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from spatial_dropouts.custom.torch_layer import SpatialDropout

DTYPE = "float32"
SEED = 1000
SHAPES = [(4097, 65, 3)]

def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return SpatialDropout(rate)


def call(layer, x, training=True):
    layer.train(training)
    if not hasattr(layer, "compiled"):
        object.__setattr__(layer, "compiled", torch.compile(layer))
    return layer.compiled(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


changed = total = 0
for shape in SHAPES:
    x = tensor(values(shape))
    layer = make(0.0, SEED)
    for _ in range(8):
        changed, total = changed + int((numpy(call(layer, x)) != numpy(x)).sum()), total + np.prod(shape)
expected = "rate 0 returns its input"
observed = f"{changed} of {total} elements are changed"
defect = changed > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
