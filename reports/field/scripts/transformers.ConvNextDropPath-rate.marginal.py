"""transformers.ConvNextDropPath: coins drop with probability 0 instead of 0.001: 0.1 points less.

rate.marginal, case bfloat16 rate=0.001 66625,1,4 calls=2, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import torch

from transformers.models.convnext.modeling_convnext import ConvNextDropPath

DTYPE = "bfloat16"
RATE = 0.001
SEED = 1000
SHAPES = [(66625, 2, 1, 2)]
SHARED = (1, 2, 3)  # axes along which all elements share one coin
CHANNELS = 1
CALLS = 3
DROPPED = 0.0
ALLOWED = 0.0
CONTROL = False


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


class ControlLayer(torch.nn.Module):  # the control: a plain right layer
    def __init__(self, rate):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate

    def forward(self, x):
        if not self.training:
            return x
        coins = torch.rand([1 if a in SHARED else n for a, n in enumerate(x.shape)], dtype=torch.float64, device=x.device)
        wide, rate = x.double(), self.rate
        return torch.where(coins < rate, DROPPED, wide * (0.0 if rate == 1 else 1 / (1 - rate))).to(x.dtype)


def make(rate, seed):
    torch.manual_seed(seed)
    return ControlLayer(rate) if CONTROL else ConvNextDropPath(rate)


def call(layer, x, training=True):
    layer.train(training)
    return layer(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def coins(y):  # one coin a row and channel, read off the first of the elements that share it; True: dropped
    return (y == DROPPED)[tuple(0 if a in SHARED else slice(None) for a in range(y.ndim))].reshape(-1, CHANNELS)


def outputs(layer, calls=None):  # of successive training calls
    given = [values(shape) for shape in SHAPES]
    for i in range(calls or CALLS):
        x = tensor(given[i % len(given)])  # anew for every call: a layer may overwrite it
        yield numpy(call(layer, x))


def masks(layer, calls=None):  # coin matrices of successive training calls
    for y in outputs(layer, calls):
        yield coins(y)


def measured():
    dropped = total = 0
    for mask in masks(make(RATE, SEED)):
        dropped, total = dropped + int(mask.sum()), total + mask.size
    deviation = np.sqrt(total * RATE * (1 - RATE))
    z = (dropped - total * RATE) / max(deviation, 1e-9)
    expected = f"coins drop with probability {RATE:g}"
    observed = f"{dropped} of {total} coins dropped: {dropped / total:.6g}, {z:+.1f} standard deviations"
    defect = abs(z) > 6 + ALLOWED * total / max(deviation, 1e-9)  # a right layer: 2 in 10^9
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
