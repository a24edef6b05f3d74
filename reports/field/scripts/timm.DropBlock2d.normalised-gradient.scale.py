"""timm.DropBlock2d.normalised: 4455 of 4455 gradients are not the cotangent times 1.42857; the median factor is
1.44444.

gradient.scale, seen with torch 2.13.0+cpu.
Cases, of which the argument names the dtype: float32 rate=0.3 grad plain; float64 rate=0.3 grad plain;
float16 rate=0.3 grad plain; bfloat16 rate=0.3 grad plain.
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
RATE = 0.3
SEED = 1000
SHAPES = [(3, 3, 11, 65)]
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = {"float32": 2**-24, "float64": 2**-53, "float16": 2**-11, "bfloat16": 2**-8}[DTYPE]  # unit roundoff


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


def gradient(layer, x, cotangent):
    x = x.detach().requires_grad_()
    y = call(layer, x)
    (g,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


x = values(SHAPES[0], 1)
x, cotangent = tensor(x), tensor(values(SHAPES[0], 2))

layer, ratios = make(RATE, SEED), []
for _ in range(16):
    y, g = gradient(layer, x, cotangent)
    ratios.append(g[g != 0] / np.longdouble(numpy(cotangent))[g != 0])
ratio = np.concatenate(ratios)
wrong = int((abs(ratio / EXACT_SCALE - 1) > 1.01 * UNIT * (3 + RATE / (1 - RATE))).sum())
expected = f"gradients of kept elements are the cotangent times {SCALE:.6g}"
observed = f"{wrong} of {ratio.size} in 16 calls are not; the factors lie from {ratio.min():.6g} to {ratio.max():.6g}"
defect = wrong > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
