"""torch.Dropout@compiled: rate nan is no probability, yet it is obeyed: 0% of the elements are 0.

rate.rejects-invalid, case rate=nan, seen with torch 2.11.0+cu130.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

torch.set_default_device("cuda")

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(3, 11, 65)]


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().cpu().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return torch.nn.Dropout(rate)


def call(layer, x, training=True):
    layer.train(training)
    return layer(x)


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
