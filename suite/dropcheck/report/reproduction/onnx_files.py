"""Scripts for one place of an ONNX file: the place alone is written down in the script, and an engine runs it."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

from dropcheck.contract.errors import UsageError
from dropcheck.report.reproduction.array_frameworks import ARRAY_FRAMEWORKS
from dropcheck.report.reproduction.snippet import Snippet

_MOST = 1 << 16  # bytes of a place that a script holds
_OWN, _THERE = "dropcheck_", "part_"  # names of tensors in the adapter's models, and in scripts
ENGINES = {"onnxruntime": "onnxruntime-file", "onnx.reference": "onnx.reference"}  # of results -> of FRAMEWORKS

_SEED = "onnxruntime.set_seed(seed)"
_TENSOR = ARRAY_FRAMEWORKS["onnxruntime"].tensor  # that of a node by itself

_MAKE = """
def make(rate, seed):
    seed_everything(seed)
    return ControlLayer(rate, seed) if CONTROL else @SESSION@
"""

_CALL = """
def call(layer, x, training=True):  # a file runs as it was exported
    if CONTROL:
        return layer.run(["y"], {"x": x, "training": training})[0]
    return np.asarray(layer.run(["part_y"], {"part_x": x})[0])
"""

ONNX_FILES: dict[str, Snippet] = {
    "onnxruntime-file": Snippet(
        imports="import onnxruntime",
        tensor=_TENSOR,
        make="\nonnxruntime.set_default_logger_severity(4)\n"
        + _MAKE.replace("@SESSION@", 'onnxruntime.InferenceSession(PART, providers=["CPUExecutionProvider"])'),
        call=_CALL,
    ),
    "onnx.reference": Snippet(
        imports="import onnx\nfrom onnx.reference import ReferenceEvaluator",
        tensor=_TENSOR.replace(_SEED, "np.random.seed(seed % 2**32)"),
        make=_MAKE.replace("@SESSION@", "ReferenceEvaluator(onnx.load_from_string(PART))"),
        call=_CALL,
    ),
}


def part_of(path: str, attr: str, name: str) -> str:
    """Lines that define PART, the bytes of the place ``attr`` (engine, ``#`` and node) of a file. Raises UsageError."""
    from spatial_dropouts.adapters import models_onnx, onnx_loading
    from spatial_dropouts.adapters.loading import NoDropout

    engine, _, node = attr.partition("#")
    try:
        made = models_onnx.inside(onnx_loading.File(path, engine), node).make
    except (NoDropout, OSError) as error:
        raise UsageError(f"there is no script for {name}: {error}") from error
    proto: Any = made.proto
    _rename(proto.graph)
    data = proto.SerializeToString()
    if len(data) > _MOST:
        raise UsageError(
            f"there is no script for {name}: the node and what it takes from the file are {len(data) >> 10} kB; expected at most "
            f"{_MOST >> 10} kB"
        )
    import onnx

    shown = "\n".join(f"#   {line}" for line in onnx.printer.to_text(proto).strip().splitlines())
    coded = "\n".join(f'    "{line}"' for line in textwrap.wrap(base64.b64encode(data).decode(), 100))
    about = f"# the node {node} of the file, alone, as onnx.printer prints it:"
    return f"import base64\n\n{about}\n{shown}\nPART = base64.b64decode(\n{coded}\n)"


def _rename(graph: Any) -> None:
    """Give the adapter's own tensors names that mean something in a script."""
    for one in (*graph.input, *graph.output, *graph.initializer):
        one.name = one.name.replace(_OWN, _THERE, 1)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [name.replace(_OWN, _THERE, 1) for name in names]
        for attribute in node.attribute:  # the body of a loop
            if attribute.HasField("g"):
                _rename(attribute.g)
