"""transformers.SwinDropPath@checkpoint: rate -0.1 is no probability, yet it is obeyed: 0% of the elements are 0.

rate.rejects-invalid, case rate=-0.1, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from transformers.models.swin.modeling_swin import SwinDropPath

DTYPE = "float32"
INVALID = "-0.1"
SEED = 1000
SHAPES = [(33, 1, 3)]


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


expected = f"rate {INVALID} is refused"
try:
    y = numpy(call(make(float(INVALID), SEED), tensor(values(SHAPES[0]))))
    observed, defect = f"rate {INVALID} is obeyed: {np.mean(y == 0):.0%} of the elements are 0", True
except Exception as error:
    observed, defect = f"refused: {type(error).__name__}: {error}", False

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
