"""timm.DropBlock2d.normalised: at rate 1, 6435 of 6435 gradients are wrong, 6435 of them not finite.

gradient.edges, case float16 rate=1 grad, seen with torch 2.13.0+cpu.
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

DTYPE = "float16"
RATE = 1.0
SEED = 1000
SHAPES = [(3, 3, 11, 65)]


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


x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
y, g = gradient(make(RATE, SEED), x, cotangent)
want = numpy(cotangent) if RATE == 0 else np.zeros(g.shape)
expected = f"the gradient at rate {RATE:g} is {'the cotangent' if RATE == 0 else '0'}"
observed = f"{int((g != want).sum())} of {g.size} are not, {int((~np.isfinite(g)).sum())} are not finite"
defect = bool((g != want).any())

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
