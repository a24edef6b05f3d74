"""timm.DropBlock2d.normalised: the factor that kept values share is 1.00122225 instead of 1.001001 (+2.210e-04
relative, +3708.27 u): another order of roundings.

scale.mean, seen with torch 2.13.0+cpu.
Cases, of which the argument names the dtype: float32 rate=0.001; float64 rate=0.001; float16 rate=0.1.
Exits with status 1 where the defect shows and with 0 where it does not.
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
RATE = {"float32": 0.001, "float64": 0.001, "float16": 0.1}[DTYPE]
SEED = 1000
SHAPES = [(25, 3, 41, 65)]
CALLS = 8
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = {"float32": 2**-24, "float64": 2**-53, "float16": 2**-11}[DTYPE]  # unit roundoff
MEAN_BOUND = {"float32": 3.001001001001001, "float64": 3.001001001001001, "float16": 3.111111111111111}[DTYPE]


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return timm.DropBlock2d(rate, block_size=1)


def call(layer, x, training=True):
    layer.train(training)
    return layer(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


layer, worst, where = make(RATE, SEED), 0.0, ""
for i in range(max(CALLS, 16)):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    y, want = numpy(call(layer, x)), np.longdouble(numpy(x)) * EXACT_SCALE
    kept = y != DROPPED
    mean = float((y[kept] / want[kept] - 1).mean()) / UNIT if kept.any() else 0.0
    if abs(mean) > abs(worst):
        worst, where = mean, f"the {kept.sum()} kept values of call {i + 1}"
expected = f"the kept values of a call are x times {SCALE:.6g} on average, to {MEAN_BOUND:.3g} unit roundoffs of {DTYPE}"
observed = f"{where} are off by {worst:+.4g} unit roundoffs on average ({worst * UNIT:+.3%})"
defect = abs(worst) > MEAN_BOUND

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
