"""onnxruntime.Dropout: the factor that kept values share is 1.00100099 instead of 1.001001 (-1.289e-08 relative,
-116080195.68 u): another order of roundings.

scale.mean, case float64 rate=0.001, seen with onnxruntime 1.32.0.
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
CALLS = 8
DROPPED = 0.0
SCALE = 1 / (1 - RATE)
EXACT_SCALE = 1 / (1 - np.longdouble(RATE))
UNIT = 2**-53  # unit roundoff of float64
MEAN_BOUND = 3.001001001001001


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


layer, worst, where = make(RATE, SEED), 0.0, ""
for i in range(max(CALLS, 16)):
    x = tensor(values(SHAPES[i % len(SHAPES)], i))
    y, want = numpy(call(layer, x)), np.longdouble(numpy(x)) * EXACT_SCALE
    kept = y != DROPPED
    mean = float((y[kept] / want[kept] - 1).mean()) / UNIT if kept.any() else 0.0
    if abs(mean) > abs(worst):
        worst, where = mean, f"the {kept.sum()} kept values of call {i + 1}"
expected = f"the kept values of a call are x times {SCALE:.6g} on average, to {MEAN_BOUND:.3g} unit roundoffs of {DTYPE}"
observed = f"{where} are off by {worst:+.4g} unit roundoffs on average ({worst * UNIT:+.3%})"
defect = abs(worst) > MEAN_BOUND

print("expected:", expected)
print("observed:", observed)
sys.exit(1 if defect else 0)
