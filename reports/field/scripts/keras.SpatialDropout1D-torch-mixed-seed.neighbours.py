"""keras.SpatialDropout1D@torch@mixed: masks of call 2 of seed s and call 1 of seed s + 1 have correlation
+1.0000.

seed.neighbours, case float16 rate=0.5 9,131,3 calls=256 seeds way=constructor, seen with keras@torch 3.15.1
on torch 2.13.0+cpu.
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

DTYPE = "float16"
RATE = 0.5
SEED = 1000
SEEDS = 128
SHAPES = [(9, 3, 131)]
SHARED = (1,)  # axes along which all elements share one coin
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
    return ControlLayer(rate, seed) if CONTROL else keras.layers.SpatialDropout1D(rate, seed=seed, dtype="mixed_" + DTYPE)


def call(layer, x, training=True):  # under a mixed policy the layer casts what it is given
    return layer(keras.ops.cast(x, "float32"), training=training)


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


def measured():
    flips = [lambda n: n, lambda n: n ^ 1, lambda n: n + 1, lambda n: n ^ 2, lambda n: n ^ 256, lambda n: n ^ 2**20]
    names = ("", "seed ^ 1", "seed + 1", "seed ^ 2", "seed ^ 256", "seed ^ 2**20")
    starts = [SEED + 4099 * n for n in range(SEEDS)]  # so far apart that none is a neighbour of another
    flat = apart(m for start in starts for flip in flips for m in masks(make(RATE, flip(start)), 2))
    every = np.array(flat, float).reshape(SEEDS, len(flips), 2, -1)  # (seeds, neighbours, calls, coins)
    every = (every - every.mean()) / max(every.std(), 1e-12)
    expected = "masks of neighbouring seeds and shifted calls are independent: correlation 0"
    best, observed = 0.0, "none is found"
    for k in range(1, len(flips)):
        for i in range(2):
            for j in range(2):
                product = every[:, 0, i] * every[:, k, j]
                each = product.sum(axis=0) / np.sqrt(SEEDS)  # coin by coin, where signs cannot cancel
                unequal = (np.sum(each**2) - each.size) / np.sqrt(each.size * (2 + np.mean(product**4) / SEEDS))
                for z, what in (
                    (product.mean() * np.sqrt(product.size), f"correlation {product.mean():+.4f}"),
                    (unequal, f"correlations of single coins are {np.sqrt(np.mean(each**2)):.3g} times as large as by chance"),
                ):
                    if abs(z) > abs(best):
                        best, observed = z, f"call {i + 1} of seed and call {j + 1} of {names[k]}: {what}"
                        observed += f" ({z:+.1f} standard deviations)"
    defect = abs(best) > 9  # 40 numbers, half of them chi-square of many degrees: a right layer below 10^-9
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
