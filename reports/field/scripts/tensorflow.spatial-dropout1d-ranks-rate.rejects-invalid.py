"""tensorflow.spatial_dropout1d@ranks: rate nan is no probability, yet it is obeyed: 100% of the elements are 0.

rate.rejects-invalid, case rate=nan, seen with tensorflow 2.21.0.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import tensorflow as tf

DTYPE = "float32"
INVALID = "nan"
SEED = 1000
SHAPES = [(33, 3, 65)]
SHARED = (1,)  # axes along which all elements share one coin


def tensor(values):
    return tf.cast(tf.constant(values), DTYPE)


def numpy(y):
    return tf.cast(y, "float64").numpy()


def seed_everything(seed):
    tf.random.set_seed(seed)


cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
STRATEGY, GRAPHS = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), {}


def make(rate, seed):
    seed_everything(seed)
    with STRATEGY.scope():
        return lambda x: tf.nn.dropout(x, rate, noise_shape=[1 if a in SHARED else n for a, n in enumerate(x.shape)])


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
    return run(layer, training, lambda given: layer(given) if training else given, x)


def values(shape, seed=0):  # nothing is 0, so what is 0 afterwards was dropped
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype("float32")


expected = f"rate {INVALID} is refused"
try:
    y = numpy(call(make(float(INVALID), SEED), tensor(values(SHAPES[0]))))
    observed, defect = f"rate {INVALID} is obeyed: {np.mean(y == 0):.0%} of the elements are 0", True
except Exception as error:
    observed, defect = f"refused: {type(error).__name__}: {error}", False

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
