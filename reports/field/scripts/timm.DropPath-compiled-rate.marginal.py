"""timm.DropPath@compiled: coins drop with probability 0.49942 instead of 0.3: 19.9 points more.

rate.marginal, case float32 rate=0.3 1031,1,2 calls=128, seen with torch 2.13.0+cpu.
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

DTYPE = "float32"
RATE = 0.3
SEED = 1000
SHAPES = [(1031, 1, 1, 2)]
SHARED = (1, 2, 3)  # axes along which all elements share one coin
CHANNELS = 1
CALLS = 128
DROPPED = 0.0
ALLOWED = 0.0


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return timm.DropPath(rate)


def call(layer, x, training=True):
    layer.train(training)
    if not hasattr(layer, "compiled"):
        object.__setattr__(layer, "compiled", torch.compile(layer))
    return layer.compiled(x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def coins(y):  # one coin a row and channel; True: all elements that share it are dropped
    return np.all(y == DROPPED, axis=SHARED).reshape(-1, CHANNELS)


def outputs(layer, calls=None):  # of successive training calls
    xs = [tensor(values(shape)) for shape in SHAPES]
    for i in range(calls or CALLS):
        yield numpy(call(layer, xs[i % len(xs)]))


def masks(layer, calls=None):  # coin matrices of successive training calls
    for y in outputs(layer, calls):
        yield coins(y)


dropped = total = 0
for mask in masks(make(RATE, SEED)):
    dropped, total = dropped + int(mask.sum()), total + mask.size
deviation = np.sqrt(total * RATE * (1 - RATE))
z = (dropped - total * RATE) / max(deviation, 1e-9)
expected = f"coins drop with probability {RATE:g}"
observed = f"{dropped} of {total} coins dropped: {dropped / total:.6g}, {z:+.1f} standard deviations"
defect = abs(z) > 6 + ALLOWED * total / max(deviation, 1e-9)  # a right layer: 2 in 10^9

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
