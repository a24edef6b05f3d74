"""onnxruntime.Dropout: channels come in groups of 2 with identical coins in all 256 rows: 905-993.

mask.distinct-channels, case float32 rate=0.3 1,1031,1 calls=256, seen with onnxruntime 1.32.0.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

DTYPE = "float32"
RATE = 0.3
SEED = 1000
SHAPES = [(1, 1, 1031)]
SHARED = ()  # axes along which all elements share one coin
CHANNELS = 1031
CALLS = 256
DROPPED = 0.0


def tensor(values):
    return np.array(values, DTYPE)


def numpy(y):
    return np.array(y, np.float64)


def seed_everything(seed):
    onnxruntime.set_seed(seed)


onnxruntime.set_default_logger_severity(4)


def make(rate, seed):
    seed_everything(seed)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPE))
    precise = TensorProto.DOUBLE if DTYPE == "float64" else TensorProto.FLOAT
    node = helper.make_node("Dropout", ["x", "rate", "training"], ["y"], seed=seed)
    inputs = [("x", kind, None), ("rate", precise, []), ("training", TensorProto.BOOL, [])]
    given = [helper.make_tensor_value_info(*one) for one in inputs]
    graph = helper.make_graph([node], "dropout", given, [helper.make_tensor_value_info("y", kind, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session, np.array(rate, helper.tensor_dtype_to_np_dtype(precise))


def call(layer, x, training=True):
    session, rate = layer
    return session.run(["y"], {"x": x, "rate": rate, "training": np.array(training)})[0]


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


columns = np.concatenate(list(masks(make(RATE, SEED)))).T
p = columns.mean()
chance = len(columns) ** 2 * (p**2 + (1 - p) ** 2) ** columns.shape[1]
groups = {}
for channel, column in enumerate(columns):
    groups.setdefault(column.tobytes(), []).append(channel)
same = [g for g in groups.values() if len(g) > 1]
expected = "no two channels share all their coins"
observed = f"{sum(map(len, same))} of {CHANNELS} channels are copies over {columns.shape[1]} rows" + (
    f", such as channels {same[0][:8]} (by chance: {chance:.0e})" if same else ""
)
defect = bool(same) and chance < 1e-8
if not defect:  # copies at a distance: the same runs of rows, channel by channel
    seen = {}
    for channel, column in enumerate(columns):
        for start in range(0, len(column) - 128, 1):
            place = seen.setdefault(column[start : start + 128].tobytes(), (channel, start))
            if place != (channel, start) and 0.1 < column[start : start + 128].mean() < 0.9:
                observed, defect = f"128 rows of channel {channel} from {start} are channel {place[0]} from {place[1]}", True
                break
        if defect:
            break

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
