"""timm.DropBlock2d.normalised: in a batch of 4 after 4, 279 of 396 elements are neither dropped nor their input
times the scale.

form.batch-change, case float32 rate=0.3 batches=4,64,1,513,64,2, seen with torch 2.13.0+cpu.
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
SHAPES = [(2, 3, 2, 33), (8, 3, 8, 33), (1, 3, 1, 33), (19, 3, 27, 33), (8, 3, 8, 33), (1, 3, 2, 33)]
SHARED = (1,)  # axes along which all elements share one coin
CHANNELS = 33
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
UNIT = 2**-24  # unit roundoff of float32


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


layer, observed = make(RATE, SEED), "they do"
expected = "batches of changing size work within one layer"
for number, shape in enumerate(SHAPES):
    x = tensor(values(shape, number))
    try:
        y = numpy(call(layer, x))
        wrong, later = problem(numpy(x), y), y[len(y) // 2 :]
        if not wrong and later.size > 5000 and (later == DROPPED).all():
            wrong = "the second half is dropped whole"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        observed = f"at shape {tuple(shape)}: {wrong}"
        break
defect = observed != "they do"

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
