"""timm.DropBlock2d.normalised: at rate 1, 8580 of 8580 coins are not dropped: all elements are NaN.

rate.one, case float16 rate=1, seen with torch 2.13.0+cpu.
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import sys

import numpy as np
import torch

import importlib.util

# timm.layers imports torchvision: the file is run by itself
folder = importlib.util.find_spec("timm").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("timm", f"{folder}/layers/drop.py")
timm = importlib.util.module_from_spec(spec)
spec.loader.exec_module(timm)

DTYPE = "float16"
SEED = 1000
SHAPES = [(17, 3, 241, 65)]
SHARED = (1,)  # axes along which all elements share one coin
DROPPED = 0.0
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
    return ControlLayer(rate) if CONTROL else timm.DropBlock2d(rate, block_size=1)


def call(layer, x, training=True):
    layer.train(training)
    return layer(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def measured():
    kept = infinite = total = 0
    layer = make(1.0, SEED)
    for _ in range(8):
        y = numpy(call(layer, tensor(values(SHAPES[0]))))
        kept, infinite, total = kept + int((y != DROPPED).sum()), infinite + int((~np.isfinite(y)).sum()), total + y.size
    expected = "rate 1 drops everything"
    observed = f"{kept} of {total} elements are not dropped, {infinite} of them not finite"
    defect = kept > 0
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
