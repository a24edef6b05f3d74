"""timm.DropBlock2d.normalised: with a strided input, 8988 of 12870 elements are neither dropped nor their input
times the scale.

form.strides, seen with torch 2.13.0+cpu.
Cases, of which the argument names the dtype: float32 rate=0.3 strided; float64 rate=0.3 strided; float16
rate=0.3 strided; bfloat16 rate=0.3 strided.
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
SHAPES = [(3, 6, 11, 65)]
SHARED = (1,)  # axes along which all elements share one coin
CHANNELS = 65
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
UNIT = {"float32": 2**-24, "float64": 2**-53, "float16": 2**-11, "bfloat16": 2**-8}[DTYPE]  # unit roundoff


def arranged(x):  # every second element of a larger tensor
    wide = torch.zeros((*x.shape[:-1], 2 * x.shape[-1]), dtype=x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


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


def coins(y):  # one coin a row and channel; True: all elements that share it are dropped
    return np.all(y == DROPPED, axis=SHARED).reshape(-1, CHANNELS)


def problem(x, y):  # what is wrong with one output of a training call, or None
    if y.shape != x.shape:
        return f"shape {x.shape} comes out as {y.shape}"
    gone = y == DROPPED
    mixed = int((gone.any(axis=SHARED) & ~gone.all(axis=SHARED)).sum())
    if mixed:
        return f"{mixed} channels are dropped in part only"
    want = x * SCALE
    wrong = int((~gone & (abs(y - want) > 1.01 * UNIT * (3 + RATE / max(1 - RATE, 1e-9)) * abs(want))).sum())
    if wrong:
        return f"{wrong} of {y.size} elements are neither dropped nor their input times {SCALE:g}"
    if gone.all() and gone.size > 3000 or not gone.any() and coins(y).size >= 400:
        return "everything is dropped" if gone.all() else "nothing is dropped"
    return None


x = tensor(values(SHAPES[0]))
layer, problems = make(RATE, SEED), []
for _ in range(4):
    problems.append(problem(numpy(x), numpy(call(layer, arranged(x)))))
quiet = numpy(call(layer, arranged(x), training=False))
if quiet.shape != tuple(x.shape) or (quiet != numpy(x)).any():
    problems.append("inference changes the values")
problems = [p for p in problems if p]
expected = "an input that is not contiguous is treated like any other"
observed = problems[0] if problems else "it is"
defect = bool(problems)

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
