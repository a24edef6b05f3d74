"""torch.Dropout1d@checkpoint-unpreserved: the gradient is 0 at 28% of kept positions and it is not 0 at 1329
positions of dropped coins.

gradient.mask, seen with torch 2.11.0+cu130.
Cases, of which the argument names the dtype: float32 rate=0.3 grad plain; float64 rate=0.3 grad plain;
float16 rate=0.3 grad plain; bfloat16 rate=0.3 grad plain.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

torch.set_default_device("cuda")

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 0.3
SEED = 1000
SHAPES = [(33, 65, 3)]
SHARED = (2,)  # axes along which all elements share one coin
DROPPED = 0.0


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().cpu().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return torch.nn.Dropout1d(rate)


def call(layer, x, training=True):
    from torch.utils.checkpoint import checkpoint

    layer.train(training)
    return checkpoint(layer, x, use_reentrant=False, preserve_rng_state=False)


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

layer = make(RATE, SEED)
gradient(layer, x, cotangent)
y, g = gradient(layer, x, cotangent)
known = numpy(x) != 0
gone = np.all((y == DROPPED) | ~known, axis=SHARED, keepdims=True) & np.ones(y.shape, bool)
leaking, missing = int(((g != 0) & gone).sum()), int(((g == 0) & ~gone).sum())
expected = "the gradient is 0 where the forward pass dropped, and only there"
observed = f"it is 0 at {missing} kept positions and not 0 at {leaking} dropped ones, of {g.size}"
defect = leaking + missing > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
