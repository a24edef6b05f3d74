"""One place of an ONNX file, run by itself by an engine."""

from __future__ import annotations

from typing import Any, ContextManager, Optional, Tuple

import numpy as np

from dropcheck.contract.adapter import Implementation, Unsupported, unchanged
from dropcheck.contract.promise import Pattern
from spatial_dropouts.adapters.numpy_functions import arranged
from spatial_dropouts.adapters.onnx_loading import Session, version
from spatial_dropouts.adapters.onnx_parts import X, Y


class Part:
    """A model of one input and one output. ``dtype``: of both, as NumPy names it; ``iterates``: over the first axis."""

    def __init__(self, proto: Any, engine: str, dtype: str, iterates: bool = False) -> None:
        self.proto, self.engine, self.dtype, self.iterates = proto, engine, dtype, iterates
        self.data = proto.SerializeToString()


class OnnxParts:
    """Drives a ``Part``: each layer is a session of its own, and ONNX Runtime's seed is set before it starts."""

    framework = "onnxruntime"
    inference = False  # a file runs as it was exported

    def __init__(self, obj: Part, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.framework = "onnxruntime" if obj.engine == "onnxruntime" else "onnx.reference"
        self.contract = implementation.resolve_contract(Pattern.parse("n c l -> n c l"), ())

    def version(self) -> str:
        return version(self.obj.engine)

    def dtypes(self) -> Tuple[str, ...]:
        return (self.obj.dtype,)

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)  # strided inputs are copied on the way in

    def gradients(self) -> bool:
        return False

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        if layout != "contiguous":
            raise Unsupported("an ONNX engine takes contiguous arrays")
        return arranged(np.asarray(values).astype(dtype), layout)

    def array(self, tensor: Any) -> Any:
        return np.asarray(tensor)

    def dtype_of(self, tensor: Any) -> str:
        return str(np.asarray(tensor).dtype)

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        return Session(self.obj.data, self.obj.engine, seed)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        return self.make(0.0, "", seed, way)  # a session takes its seed when it starts

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if not training:
            raise Unsupported("an ONNX file runs as it was exported, and cannot be switched to inference")
        if self.obj.iterates and not x.size:
            raise Unsupported("engines differ in what a loop over nothing, or of nothing, has for an output")
        return layer.run([Y], {X: x})[0]

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        raise Unsupported("an ONNX file has no gradients")

    def recording(self, on: bool) -> ContextManager[Any]:
        return unchanged()

    def track(self, x: Any) -> Any:
        return x

    def preserved(self) -> ContextManager[Any]:
        return unchanged()  # its global seed cannot be read, and so not be restored
