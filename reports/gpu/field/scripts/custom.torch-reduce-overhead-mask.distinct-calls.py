"""custom.torch@reduce-overhead: row 0 of call 1 repeats the coins of row 0 of call 0; 32699 such repeats in
1048505 words.

mask.distinct-calls, case float32 rate=0.5 32769,1,4 calls=50, seen with torch 2.11.0+cu130.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import torch

from spatial_dropouts.custom.torch_layer import SpatialDropout

torch.set_default_device("cuda")

DTYPE = "float32"
RATE = 0.5
SEED = 1000
SHAPES = [(32769, 1, 4)]
SHARED = (2,)  # axes along which all elements share one coin
CHANNELS = 1
CALLS = 50
DROPPED = 0.0


def tensor(values):
    return torch.tensor(values).to(getattr(torch, DTYPE))


def numpy(y):
    return y.detach().double().cpu().numpy()


def make(rate, seed):
    torch.manual_seed(seed)
    return SpatialDropout(rate)


def call(layer, x, training=True):
    layer.train(training)
    if not hasattr(layer, "compiled"):
        object.__setattr__(layer, "compiled", torch.compile(layer, mode="reduce-overhead"))
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


def repeats(streams):
    """Windows of successive rows, long enough to be unlike by chance (10^-9 over all pairs), that occur twice.

    streams: (label, coin matrix). Returns (label, row, label, row) of equal windows that do not overlap.
    """
    same = np.mean([m.mean() for _, m in streams])
    same = same**2 + (1 - same) ** 2  # probability that two coins agree
    rows = sum(len(m) for _, m in streams)
    wide = int(np.ceil(np.log(1e9 * rows**2) / -np.log(min(same, 0.9999)) / CHANNELS))
    seen, found = {}, []
    for label, mask in streams:
        packed = [r.tobytes() for r in np.packbits(mask, axis=1)]
        for row in range(len(packed) - wide + 1):
            window = b"".join(packed[row : row + wide])
            first = seen.setdefault(window, (label, row))
            if first != (label, row) and (first[0] != label or row - first[1] >= wide):
                found.append((*first, label, row))
    return found


streams = [(i, mask) for i, mask in enumerate(masks(make(RATE, SEED)))]
found = [r for r in repeats(streams) if r[0] != r[2]]
expected = "no calls share their coins"
observed = f"{len(found)} runs of rows occur twice"
if found:
    observed += ": row {1} of call {0} is row {3} of call {2}".format(*found[0])
defect = bool(found)

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
