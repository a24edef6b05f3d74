"""keras.SpatialDropout1D@torch: seed 737034649 repeats parts of the masks of seed 737034648; 576 such repeats
among 128 seeds, expected none. Call 2 of a seed is call 1 of the next seed: the layer, or its framework, adds
the number of calls to the seed.

seed.distinct, case float32 rate=0.5 9,131,3 calls=256 seeds way=constructor, seen with keras@torch 3.15.1 on
torch 2.13.0+cpu.
Install: pip install 'keras==3.15.1 installed' numpy
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import torch
import sys

import numpy as np

DTYPE = "float32"
RATE = 0.5
SEED = 1000
SEEDS = 128
SHAPES = [(9, 3, 131)]
SHARED = (1,)  # axes along which all elements share one decision
CHANNELS = 131
CALLS = 256
DROPPED = 0.0
CONTROL = False


def tensor(values):
    return keras.ops.cast(keras.ops.convert_to_tensor(np.asarray(values, "float32")), DTYPE)


def numpy(y):
    wide = "float64" if DTYPE == "float64" else "float32"
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, wide)), np.float64)


class ControlLayer:  # the control: a plain right layer
    def __init__(self, rate, seed):
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def __call__(self, x, training=True):
        x = x.to(getattr(torch, DTYPE))
        if not training:
            return x
        coins = torch.rand([1 if a in SHARED else n for a, n in enumerate(x.shape)], dtype=torch.float64, device="cpu", generator=self.generator).to(x.device)
        wide, rate = x.double(), self.rate
        return torch.where(coins < rate, DROPPED, wide * (0.0 if rate == 1 else 1 / (1 - rate))).to(x.dtype)


def make(rate, seed):
    keras.utils.set_random_seed(seed)
    return ControlLayer(rate, seed) if CONTROL else keras.layers.SpatialDropout1D(rate, seed=seed, dtype=DTYPE)


def call(layer, x, training=True):
    return layer(x, training=training)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


def coins(y):  # one coin a row and channel, read off the first of the elements that share it; True: dropped
    return (y == DROPPED)[tuple(0 if a in SHARED else slice(None) for a in range(y.ndim))].reshape(-1, CHANNELS)


def outputs(layer, calls=None):  # of successive training calls
    given = [values(shape) for shape in SHAPES]
    for i in range(calls or CALLS):
        x = tensor(given[i % len(given)])  # anew for every call: a layer may overwrite it
        yield numpy(call(layer, x))


def masks(layer, calls=None):  # coin matrices of successive training calls
    for y in outputs(layer, calls):
        yield coins(y)


def apart(some, axes=(0, 1)):  # coin matrices in which copies of one row, or of one channel, count once
    some = list(some)
    for axis in axes:
        if all((m == m.take([0], axis)).all() for m in some):
            some = [m.take([0], axis) for m in some]
    return some


def repeats(streams):
    """Windows of successive rows, long enough to be unlike by chance (10^-9 over all pairs), that occur twice.

    streams: (label, coin matrix). Returns (label, row, label, row) of equal windows that do not overlap.
    """
    same = np.mean([m.mean() for _, m in streams])
    same = same**2 + (1 - same) ** 2  # probability that two coins agree
    rows = sum(len(m) for _, m in streams)
    wide = int(np.ceil(np.log(1e9 * rows**2) / -np.log(min(same, 0.9999)) / streams[0][1].shape[1]))
    seen, found = {}, []
    for label, mask in streams:
        packed = [r.tobytes() for r in np.packbits(mask, axis=1)]
        for row in range(len(packed) - wide + 1):
            window = b"".join(packed[row : row + wide])
            first = seen.setdefault(window, (label, row))
            if first != (label, row) and (first[0] != label or row - first[1] >= wide):
                found.append((*first, label, row))
    return found


def stretches(streams):
    """Words of coins, unlike by chance (10^-9 over all pairs), that occur twice at any offset, not at the start of rows alone.

    streams: (label, coin matrix), read as one stream of coins, row after row. Words begin with coins 1 1 0 1 0 0, 1 dropped.
    Returns (label, coin, label, coin) of equal words that do not overlap.
    """
    flat = np.concatenate([m.ravel() for _, m in streams])
    starts = np.cumsum([0, *(m.size for _, m in streams)])
    same = flat.mean() ** 2 + (1 - flat.mean()) ** 2
    wide = int(np.ceil(np.log(1e9 * flat.size**2) / -np.log(min(same, 0.9999))))
    begins = flat[:-5] & flat[1:-4] & ~flat[2:-3] & flat[3:-2] & ~flat[4:-1] & ~flat[5:]
    seen, found = {}, []
    for at in np.flatnonzero(begins[: max(0, flat.size - wide)]):
        first = seen.setdefault(np.packbits(flat[at : at + wide]).tobytes(), at)
        if at - first >= wide:
            one, two = np.searchsorted(starts, [first, at], side="right") - 1
            found.append((streams[one][0], first - starts[one], streams[two][0], at - starts[two]))
    return found


def measured():
    streams = []
    for n in range(SEEDS):
        streams.append((SEED + n, np.concatenate(list(masks(make(RATE, SEED + n), 2)))))
    streams = [(seed, mask) for (seed, _), mask in zip(streams, apart(mask for _, mask in streams))]
    found = [r for r in repeats(streams) if r[0] != r[2]]
    expected = "different seeds give unrelated streams"
    observed = f"{len(found)} runs of rows occur under two of {SEEDS} seeds"
    if found:
        observed += ": row {3} of seed {2} is row {1} of seed {0} (rows of successive calls counted on)".format(*found[0])
    else:
        found = [r for r in stretches(streams) if r[0] != r[2]]
        observed = f"{len(found)} stretches of decisions occur under two of {SEEDS} seeds, at any offset"
        if found:
            observed += ": that from decision {3} of seed {2} on is that from decision {1} of seed {0} on".format(*found[0])
    defect = bool(found)
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
