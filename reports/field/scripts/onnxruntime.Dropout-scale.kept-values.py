"""onnxruntime.Dropout: 133114 elements are neither the dropped value nor x times 1.001: input 7.15896206 became
7.16612809 (factor 1.001); right is 7.16612819 to 7.16612819.

scale.kept-values, case float64 rate=0.001 1025,65,1 calls=2, seen with onnxruntime 1.32.0.
Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

DTYPE = "float64"
RATE = 0.001
SEED = 1000
SHAPES = [(25, 41, 65)]
SHARED = ()  # axes along which all elements share one coin
CALLS = 2
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-53  # unit roundoff of float64


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


worst = wrong = total = 0
layer = make(RATE, SEED)
for i in range(CALLS):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    y, want = numpy(call(layer, x)), np.longdouble(numpy(x)) * EXACT_SCALE
    kept = ~np.all(y == DROPPED, axis=SHARED, keepdims=True) & np.ones(y.shape, bool)
    error = abs(y[kept] / want[kept] - 1) / UNIT
    worst, total = max(worst, float(error.max(initial=0))), total + error.size
    wrong += int((error > 1.01 * (3 + RATE / (1 - RATE))).sum())
expected = f"kept values are x times {SCALE:.6g}, to {3 + RATE / (1 - RATE):.3g} unit roundoffs of {DTYPE}"
observed = f"{wrong} of {total} kept values are further off, the worst by {worst:.4g} unit roundoffs"
defect = wrong > 0

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
