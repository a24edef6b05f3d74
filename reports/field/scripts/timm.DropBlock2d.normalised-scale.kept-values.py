"""timm.DropBlock2d.normalised: 3791248 elements are neither the dropped value nor x times 1.11111: input
0.863497674 became 0.960103393 (factor 1.11188, relative error +0.000689); right is 0.959441683 to
0.959442038.

scale.kept-values, seen with torch 2.13.0+cpu.
Cases, of which the argument names the dtype: float32 rate=0.1 257,64,4 calls=64; float64 rate=0.001 1025,65,4
calls=2; float16 rate=0.1 1025,65,4 calls=9; bfloat16 rate=0.5 257,66,4 calls=96.
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

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = {"float32": 0.1, "float64": 0.001, "float16": 0.1, "bfloat16": 0.5}[DTYPE]
SEED = 1000
SHAPES = {"float32": [(1, 4, 257, 64)], "float64": [(25, 4, 41, 65)], "float16": [(25, 4, 41, 65)], "bfloat16": [(1, 4, 257, 66)]}[DTYPE]
SHARED = (1,)  # axes along which all elements share one coin
CALLS = {"float32": 64, "float64": 2, "float16": 9, "bfloat16": 96}[DTYPE]
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = {"float32": 2**-24, "float64": 2**-53, "float16": 2**-11, "bfloat16": 2**-8}[DTYPE]  # unit roundoff
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
