"""keras.SpatialDropout1D@tensorflow@ranks: row 33 of call 0 repeats the coins of row 0 of call 0; 672 such
repeats in 1365 words.

mask.distinct-samples, seen with keras@tensorflow 3.15.1 on tensorflow 2.21.0.
Cases, of which the argument names the dtype: float32 rate=0.3 65,1025,2 calls=21; float64 rate=0.5 4097,65,4
calls=7; float16 rate=0.5 4097,65,4 calls=7; bfloat16 rate=0.5 4097,65,4 calls=7.
Exits with status 1 where the defect shows in the layer and not in the control, a plain right layer in its
place; with 4 where it shows in both: then it is of the measurement or of the framework, and not of this
layer; with 0 where it does not show.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import tensorflow as tf
import sys

import numpy as np

DTYPE = sys.argv[1] if len(sys.argv) > 1 else "float32"
RATE = {"float32": 0.3, "float64": 0.5, "float16": 0.5, "bfloat16": 0.5}[DTYPE]
SEED = 1000
SHAPES = {"float32": [(65, 2, 1025)], "float64": [(4097, 4, 65)], "float16": [(4097, 4, 65)], "bfloat16": [(4097, 4, 65)]}[DTYPE]
SHARED = (1,)  # axes along which all elements share one coin
CHANNELS = {"float32": 1025, "float64": 65, "float16": 65, "bfloat16": 65}[DTYPE]
CALLS = {"float32": 21, "float64": 7, "float16": 7, "bfloat16": 7}[DTYPE]
DROPPED = 0.0
CONTROL = False


def tensor(values):
    return keras.ops.cast(keras.ops.convert_to_tensor(np.asarray(values, "float32")), DTYPE)


def numpy(y):
    wide = "float64" if DTYPE == "float64" else "float32"
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, wide)), np.float64)


def seed_everything(seed):
    keras.utils.set_random_seed(seed)


class ControlLayer:  # the control: a plain right layer
    def __init__(self, rate, seed):
        if not 0 <= rate <= 1:
            raise ValueError(f"{rate} is no probability")
        self.rate = rate
        self.generator = tf.random.Generator.from_seed(seed)

    def __call__(self, x, training=True):
        x = tf.cast(x, DTYPE)
        if not training:
            return x
        coins = self.generator.uniform([1 if a in SHARED else n for a, n in enumerate(x.shape)], dtype=tf.float64)
        wide, rate = tf.cast(x, tf.float64), self.rate
        return tf.cast(tf.where(coins < rate, tf.constant(DROPPED, tf.float64), wide * (0.0 if rate == 1 else 1 / (1 - rate))), DTYPE)


cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
STRATEGY, GRAPHS = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), {}


def make(rate, seed):
    seed_everything(seed)
    with STRATEGY.scope():
        return ControlLayer(rate, seed) if CONTROL else keras.layers.SpatialDropout1D(rate, dtype=DTYPE)


def run(layer, name, body, *tensors):  # half the batch on each of two replicas
    if (id(layer), name) not in GRAPHS:
        GRAPHS[id(layer), name] = layer, tf.function(lambda *shares: STRATEGY.run(body, args=shares))
    half = -(-len(tensors[0]) // 2)
    shares = [
        STRATEGY.experimental_distribute_values_from_function(
            lambda context, t=t: t[half:] if context.replica_id_in_sync_group else t[:half]
        )
        for t in tensors
    ]
    whole = GRAPHS[id(layer), name][1](*shares)
    return tf.nest.map_structure(lambda parts: tf.concat(STRATEGY.experimental_local_results(parts), 0), whole)


def call(layer, x, training=True):
    return run(layer, training, lambda given: layer(given, training=training), x)


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


def measured():
    streams = list(enumerate(apart(masks(make(RATE, SEED)), (1,))))
    found = [r for r in repeats(streams) if r[0] == r[2]]
    expected = "no samples of a call share their coins"
    observed = f"{len(found)} runs of rows occur twice"
    if found:
        observed += ": row {1} of call {0} is row {3} of call {2}".format(*found[0])
    defect = bool(found)
    return expected, observed, bool(defect)


expected, observed, defect = measured()
CONTROL = True  # from here on make() gives the plain right layer
control, same = measured()[1:]
print("expected:", expected)
print("observed:", observed)
print("control:", control)
sys.exit(4 if defect and same else 1 if defect else 0)
