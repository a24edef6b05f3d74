"""ONNX files: a model is read from one, and what cannot be read or run is said in one sentence."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters.loading import NoDropout, TargetNotFound

ENGINES = ("onnxruntime", "reference")
_OWN = ("", "ai.onnx", "ai.onnx.ml")  # what every engine has
_EXTRA = {"onnxruntime": ("com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"), "reference": ()}


class File:
    """A model as it stands in a file, and the engine that runs it."""

    def __init__(self, path: str, engine: str) -> None:
        self.path, self.engine = path, engine
        self.proto = _read(path)
        _refuse_unknown(self)

    @property
    def name(self) -> str:
        """The file's name, for sentences."""
        return os.path.basename(self.path)


class Named:
    """What stands at ``path.onnx:ENGINE``, as the attributes of a module do."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> File:
        if name not in ENGINES:
            raise AttributeError(name)
        return File(self._path, name)


def _read(path: str) -> Any:
    if not os.path.isfile(path):
        raise TargetNotFound(f"there is no file {path}")
    try:
        import onnx
    except ImportError as error:
        raise Unsupported("reading ONNX files needs onnx: pip install 'dropcheck[onnx]'") from error
    name = os.path.basename(path)
    if not os.path.getsize(path):
        raise NoDropout(f"{name} is empty; expected an ONNX model")
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # whatever protobuf raises of bytes that are none of its own
        raise NoDropout(f"{name} is no ONNX model, or is cut off ({type(error).__name__})") from error
    if not proto.graph.node:
        raise NoDropout(f"{name} is no ONNX model, or its graph has no node")
    try:
        onnx.load_external_data_for_model(proto, os.path.dirname(os.path.abspath(path)))
    except Exception as error:
        missing = _missing(proto, os.path.dirname(os.path.abspath(path)))
        words = f"{missing} does not lie beside it" if missing else str(error).splitlines()[0][:160]
        raise NoDropout(f"{name} keeps its weights in other files, and they cannot be read: {words}") from error
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    return proto


def _missing(proto: Any, folder: str) -> str:
    """The first file with weights that is not there."""
    for one in proto.graph.initializer:
        for entry in one.external_data:
            if entry.key == "location" and not os.path.isfile(os.path.join(folder, entry.value)):
                return str(entry.value)
    return ""


def _refuse_unknown(file: File) -> None:
    """Raise NoDropout for operators that the engine does not have."""
    import onnx

    for one in file.proto.opset_import:
        if one.domain in ("", "ai.onnx") and one.version > onnx.defs.onnx_opset_version():
            raise NoDropout(
                f"{file.name} is of opset {one.version}; the onnx that is installed here knows opsets up to "
                f"{onnx.defs.onnx_opset_version()}"
            )
    known = (*_OWN, *_EXTRA[file.engine])
    strange = sorted({f"{n.domain}::{n.op_type}" for n in file.proto.graph.node if n.domain not in known})
    if strange:
        raise NoDropout(
            f"{file.name} has operators that {engine_name(file.engine)} does not know: {', '.join(strange[:3])}"
            + (f" and {len(strange) - 3} more" if len(strange) > 3 else "")
        )


def engine_name(engine: str) -> str:
    """An engine as it is called in sentences."""
    return "ONNX Runtime" if engine == "onnxruntime" else "onnx.reference"


def version(engine: str) -> str:
    """The release of an engine."""
    if engine == "onnxruntime":
        import onnxruntime

        return str(onnxruntime.__version__)
    import onnx

    return str(onnx.__version__)


class Session:
    """One start of an engine on a model. ``seed``: of ONNX Runtime's own generators; None leaves them alone."""

    def __init__(self, proto: Any, engine: str, seed: Optional[int] = None) -> None:
        self.engine = engine
        self.inner: Any
        if engine == "onnxruntime":
            try:
                import onnxruntime
            except ImportError as error:
                raise Unsupported(
                    "running ONNX files needs onnxruntime: pip install 'dropcheck[onnx]'; @reference runs them without it"
                ) from error
            onnxruntime.set_default_logger_severity(4)  # refusals come back as exceptions
            if seed is not None:
                onnxruntime.set_seed(seed)
            data = proto if isinstance(proto, bytes) else serialised(proto)
            self.inner = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        else:
            import onnx
            from onnx.reference import ReferenceEvaluator

            self.inner = ReferenceEvaluator(onnx.load_from_string(proto) if isinstance(proto, bytes) else proto)

    def run(self, wanted: Sequence[str], given: Dict[str, Any]) -> List[Any]:
        """The outputs of these names."""
        return list(self.inner.run(list(wanted), given))


def serialised(proto: Any) -> bytes:
    """The bytes of a model. Raises NoDropout where they are more than protobuf can hold."""
    try:
        return bytes(proto.SerializeToString())
    except Exception as error:
        raise NoDropout(
            "the model has more than 2 GB of weights in memory: more than one protobuf message holds"
        ) from error


def inputs(proto: Any, shape: Optional[Sequence[int]], training: bool = True) -> Tuple[Dict[str, Any], str]:
    """Inputs of the declared types, and a remark on the sizes that were chosen. ``shape``: of the first input.

    Sizes with a name, and those without, are 8 for the first axis and 16 for others.
    """
    import onnx

    held = {one.name for one in proto.graph.initializer}
    wanted = [one for one in proto.graph.input if one.name not in held]
    sizes: Dict[str, int] = {}
    made: Dict[str, Any] = {}
    chosen: List[str] = []
    rng = np.random.default_rng(20141110)
    for number, one in enumerate(wanted):
        kind = one.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        dims = []
        for axis, dim in enumerate(kind.shape.dim):
            free = not dim.HasField("dim_value") or dim.dim_value <= 0
            name = dim.dim_param or f"axis {axis} of {one.name}"
            size = sizes.setdefault(name, 16 if axis else 8) if free else int(dim.dim_value)
            if number == 0 and shape is not None and len(shape) == len(kind.shape.dim):
                size = int(shape[axis])
                if free:
                    sizes[name] = size
            elif free and name not in chosen:
                chosen.append(name)
            dims.append(size)
        if number == 0 and shape is not None and len(shape) != len(dims):
            raise NoDropout(f"--input has {len(shape)} sizes; the input {one.name} has {len(dims)} axes")
        made[one.name] = _values(rng, dims, np.dtype(dtype), training)
    said = ", ".join(f"{name} {sizes[name]}" for name in chosen)
    return made, f"its inputs are made from the types that the file declares, with {said}" if said else ""


def _values(rng: Any, dims: List[int], dtype: Any, training: bool) -> Any:
    if dtype == np.bool_:
        return np.full(dims, training)
    if np.issubdtype(dtype, np.integer):
        return rng.integers(0, 2, dims).astype(dtype)  # valid as a place in any table, and as a mask
    if dtype.kind in "US" or dtype.kind == "O":
        return np.full(dims, "word")
    return rng.standard_normal(dims).astype(dtype)
