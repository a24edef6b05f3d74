"""keras.SpatialDropout1D@torch: masks of call 2 of seed s and call 1 of seed s + 1 have correlation +1.0000.

seed.neighbours, case float32 rate=0.5 9,131,3 calls=256 seeds way=constructor, seen with keras@torch 3.15.1
on torch 2.11.0+cu130.
Exits with status 1 where the defect shows and with 0 where it does not.
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
SHARED = (1,)  # axes along which all elements share one coin
CHANNELS = 131
CALLS = 256
DROPPED = 0.0


def tensor(values):
    return keras.ops.cast(keras.ops.convert_to_tensor(np.asarray(values, "float32")), DTYPE)


def numpy(y):
    wide = "float64" if DTYPE == "float64" else "float32"
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, wide)), np.float64)


def make(rate, seed):
    keras.utils.set_random_seed(seed)
    return keras.layers.SpatialDropout1D(rate, seed=seed, dtype=DTYPE)


def call(layer, x, training=True):
    return layer(x, training=training)


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


one, two = [], []
for n in range(SEEDS):
    start = SEED + 2 * n
    one.append(list(masks(make(RATE, start), 2)))
    two.append([list(masks(make(RATE, other), 2)) for other in (start ^ 1, start + 1, start ^ 2, start ^ 256, start ^ 2**20)])
expected = "masks of neighbouring seeds and shifted calls are independent: correlation 0"
best, observed = 0.0, "none is found"
a = np.array(one, float)  # (seeds, calls, rows, channels)
b = np.array(two, float)  # (seeds, neighbours, calls, rows, channels)
names = ("seed ^ 1", "seed + 1", "seed ^ 2", "seed ^ 256", "seed ^ 2**20")
for k in range(len(names)):
    for i in range(2):
        for j in range(2):
            u, v = a[:, i] - a.mean(), b[:, k, j] - b.mean()
            r = (u * v).mean() / max(np.sqrt(a.var() * b.var()), 1e-12)
            z = r * np.sqrt(u.size)
            if abs(z) > abs(best):
                best, observed = z, f"call {i + 1} of seed and call {j + 1} of {names[k]}: correlation {r:+.4f}"
                observed += f" ({z:+.1f} standard deviations)"
defect = abs(best) > 7  # 20 tables: a right layer below 10^-9

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
