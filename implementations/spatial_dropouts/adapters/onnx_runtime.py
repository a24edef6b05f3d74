"""ONNX Runtime: a model of one Dropout node with training_mode true, run by an inference session on the CPU."""

from __future__ import annotations

from typing import Any, ContextManager, Dict, Optional, Tuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from dropcheck.contract.adapter import Implementation, Unsupported, unchanged
from dropcheck.contract.promise import Pattern
from spatial_dropouts.adapters import seeding
from spatial_dropouts.adapters.numpy_functions import arranged

# bfloat16: the CPU provider has no kernel for it
_DTYPES: Dict[str, Tuple[int, Any]] = {
    "float32": (TensorProto.FLOAT, np.float32),
    "float64": (TensorProto.DOUBLE, np.float64),
    "float16": (TensorProto.FLOAT16, np.float16),
}


def dropout(dtype: int, seed: Optional[int]) -> Any:
    """An ONNX model of opset 13: inputs x, rate and training, output y; ``seed`` is the node's attribute."""
    attributes = {} if seed is None else {"seed": seed}
    node = helper.make_node("Dropout", ["x", "rate", "training"], ["y"], **attributes)
    inputs = [
        helper.make_tensor_value_info("x", dtype, None),
        helper.make_tensor_value_info("rate", dtype if dtype == TensorProto.DOUBLE else TensorProto.FLOAT, []),
        helper.make_tensor_value_info("training", TensorProto.BOOL, []),
    ]
    graph = helper.make_graph([node], "dropout", inputs, [helper.make_tensor_value_info("y", dtype, None)])
    # any rank: onnx.checker would want one, the session does not
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


class _Layer:
    """One session and the rate that its calls ask for."""

    def __init__(self, session: Any, rate: float, dtype: str) -> None:
        self.session, self.dtype = session, dtype
        self.rate = np.array(rate, np.float64 if dtype == "float64" else np.float32)


class OnnxRuntime:
    """Drives a builder of models ``f(element type, seed)`` with inputs x, rate and training and output y."""

    framework = "onnxruntime"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.contract = implementation.resolve_contract(Pattern.parse("n c l -> n c l"), ("constructor", "global"))
        onnxruntime.set_default_logger_severity(4)  # refusals come back as exceptions

    def version(self) -> str:
        return str(onnxruntime.__version__)

    def dtypes(self) -> Tuple[str, ...]:
        return tuple(_DTYPES)

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)  # strided inputs are copied on the way in

    def gradients(self) -> bool:
        return False

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        if layout != "contiguous":
            raise Unsupported("ONNX Runtime takes contiguous arrays")
        return arranged(np.asarray(values).astype(_DTYPES[dtype][1]), layout)

    def array(self, tensor: Any) -> Any:
        return np.asarray(tensor)

    def dtype_of(self, tensor: Any) -> str:
        return str(np.asarray(tensor).dtype)

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        seeding.sow(self.implementation, seed, way, onnxruntime.set_seed)
        model = self.obj(_DTYPES[dtype][0], seed if way == "constructor" else None)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return _Layer(session, rate, dtype)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        # the node takes its generator's seed when the session is made
        return self.make(float(layer.rate), layer.dtype, seed, way)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        given = {"x": x, "rate": layer.rate, "training": np.array(training)}
        return layer.session.run(["y"], given)[0]

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        raise Unsupported("inference sessions have no gradients")

    def recording(self, on: bool) -> ContextManager[Any]:
        return unchanged()

    def track(self, x: Any) -> Any:
        return x

    def preserved(self) -> ContextManager[Any]:
        return unchanged()  # its global seed cannot be read, and so not be restored
