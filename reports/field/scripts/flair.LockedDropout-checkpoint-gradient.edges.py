"""flair.LockedDropout@checkpoint: at rate 1, 6435 of 6435 gradients are wrong, 6435 of them not finite.

gradient.edges, seen with torch 2.13.0+cpu.
Cases, of which the argument names the dtype: float32 rate=1 grad; float64 rate=1 grad; float16 rate=1 grad;
bfloat16 rate=1 grad.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

import importlib.util

# flair imports boto3, gensim-like readers and a dozen more: the file is run by itself
folder = importlib.util.find_spec("flair").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("flair", f"{folder}/nn/dropout.py")
flair = importlib.util.module_from_spec(spec)
spec.loader.exec_module(flair)

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 1.0
SEED = 1000
SHAPES = [(33, 3, 65)]


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return flair.LockedDropout(rate)


def call(layer, x, training=True):
    from torch.utils.checkpoint import checkpoint

    layer.train(training)
    return checkpoint(layer, x, use_reentrant=False)


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
