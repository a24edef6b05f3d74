"""transformers.ConvNextDropPath: 2148 elements are neither the dropped value nor x times 1.001: input 1.953125
became 3.90625 (factor 2, relative error +0.998); right is 1.93204145 to 1.97811871.

scale.kept-values, case bfloat16 rate=0.001 66625,1,4 calls=2, seen with torch 2.13.0+cpu.
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
CALLS = 2
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-8  # unit roundoff of bfloat16
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


def measured():
    worst = wrong = total = 0
    layer = make(RATE, SEED)
    for i in range(CALLS):
        x = tensor(values(SHAPES[i % len(SHAPES)], i))
        want = np.longdouble(numpy(x)) * EXACT_SCALE
        y = numpy(call(layer, x))
        kept = y != DROPPED
        error = abs(y[kept] / want[kept] - 1) / UNIT
        worst, total = max(worst, float(error.max(initial=0))), total + error.size
        wrong += int((error > 1.01 * (3 + RATE / (1 - RATE))).sum())
    expected = f"kept values are x times {SCALE:.6g}, to {3 + RATE / (1 - RATE):.3g} unit roundoffs of {DTYPE}"
    observed = f"{wrong} of {total} kept values are further off, the worst by {worst:.4g} unit roundoffs"
    defect = wrong > 0
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
