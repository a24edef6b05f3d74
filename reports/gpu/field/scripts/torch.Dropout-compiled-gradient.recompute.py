"""torch.Dropout@compiled: recomputing the forward pass raises BackendCompilerFailed: backend='backend' raised:.

gradient.recompute, seen with torch 2.11.0+cu130.
Cases, of which the argument names the dtype: float32 rate=0.15 recompute; bfloat16 rate=0.15 recompute.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

torch.set_default_device("cuda")

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = 0.15
SEED = 1000
SHAPES = [(3, 11, 65)]
SHARED = ()  # axes along which all elements share one coin
DROPPED = 0.0
REENTRANT = False


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().cpu().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return torch.nn.Dropout(rate)


def call(layer, x, training=True):
    layer.train(training)
    if not hasattr(layer, "compiled"):
        object.__setattr__(layer, "compiled", torch.compile(layer))
    return layer.compiled(x)


def recompute(layer, x, cotangent, reentrant):
    from torch.utils.checkpoint import checkpoint

    x = x.detach().requires_grad_()
    y = checkpoint(lambda given: call(layer, given), x, use_reentrant=reentrant)
    y.backward(cotangent)
    return numpy(y), numpy(x.grad)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


layer, leaking, missing = make(RATE, SEED), 0, 0
x, cotangent = tensor(values(SHAPES[0], 1)), tensor(values(SHAPES[0], 2))
for i in range(8):
    y, g = recompute(layer, x, cotangent, REENTRANT)
    gone = np.all(y == DROPPED, axis=SHARED, keepdims=True) & np.ones(y.shape, bool)
    leaking, missing = leaking + int(((g != 0) & gone).sum()), missing + int(((g == 0) & ~gone).sum())
expected = "the recomputed forward pass flips the same coins: the gradient is 0 where the output was dropped, and only there"
observed = f"in 8 calls it is 0 at {missing} kept positions and not 0 at {leaking} dropped ones"
defect = leaking + missing > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
