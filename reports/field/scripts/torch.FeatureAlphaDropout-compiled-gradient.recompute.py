"""torch.FeatureAlphaDropout@compiled: the gradient is 0 at 29% of kept positions.

gradient.recompute, seen with torch 2.13.0+cpu.
Cases, of which the argument names the dtype: float32 rate=0.15 recompute checkpoint-in-compiled call 3;
bfloat16 rate=0.15 recompute checkpoint-in-compiled call 3.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 0.15
SEED = 1000
SHAPES = [(33, 65, 3)]
SHARED = (2,)  # axes along which all elements share one coin
DROPPED = -1.3397883127321475
UNIT = {"float32": 2**-24, "bfloat16": 2**-8}[DTYPE]  # unit roundoff
REENTRANT = False


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return torch.nn.FeatureAlphaDropout(rate)


def recompute(layer, x, cotangent, reentrant):  # a checkpoint inside of what is compiled
    from torch.utils.checkpoint import checkpoint

    layer.train()
    x = x.detach().requires_grad_()
    whole = torch.compile(lambda given: checkpoint(layer, given, use_reentrant=False), dynamic=True)
    y = whole(x)
    (g,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
    return numpy(y), np.zeros(x.shape) if g is None else numpy(g)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


layer, leaking, missing = make(RATE, SEED), 0, 0
x, cotangent = tensor(abs(values(SHAPES[0], 1))), tensor(values(SHAPES[0], 2))
for i in range(8):
    y, g = recompute(layer, x, cotangent, REENTRANT)
    gone = np.all((abs(y - DROPPED) <= 8 * UNIT * abs(DROPPED)), axis=SHARED, keepdims=True) & np.ones(y.shape, bool)
    leaking, missing = leaking + int(((g != 0) & gone).sum()), missing + int(((g == 0) & ~gone).sum())
expected = "the recomputed forward pass flips the same coins: the gradient is 0 where the output was dropped, and only there"
observed = f"in 8 calls it is 0 at {missing} kept positions and not 0 at {leaking} dropped ones"
defect = leaking + missing > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
