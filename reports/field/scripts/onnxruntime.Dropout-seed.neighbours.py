"""onnxruntime.Dropout: masks of call 2 of seed s and call 1 of seed s + 1 have correlation +1.0000.

seed.neighbours, case float32 rate=0.5 9,131,1 calls=512 seeds way=constructor, seen with onnxruntime 1.32.0.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

DTYPE = "float32"
RATE = 0.5
SEED = 1000
SEEDS = 256
SHAPES = [(3, 3, 131)]
SHARED = ()  # axes along which all elements share one coin
CHANNELS = 131
CALLS = 512
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
