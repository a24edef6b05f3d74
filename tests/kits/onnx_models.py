"""Small ONNX models that drop, made without an exporter: as torch.onnx exports Dropout1d, and Dropout nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from dropcheck.contract.promise import Contract

FLOAT = TensorProto.FLOAT


def channels(name: str, x: str, y: str, keep: float = 0.5, like: str = "like") -> list[Any]:
    """Whole channels dropped by a random node ``name``, as an exported Dropout1d drops them."""
    node, made = helper.make_node, f"{name}_"
    return [
        node("RandomUniformLike", [like], [f"{made}drawn"], name=name, high=1.0, low=0.0),
        node("Less", [f"{made}drawn", f"{made}keep"], [f"{made}kept"]),
        node("Cast", [f"{made}kept"], [f"{made}mask"], to=FLOAT),
        node("Div", [f"{made}mask", f"{made}keep"], [f"{made}scale"]),
        node("Mul", [x, f"{made}scale"], [y]),
    ]


def model(nodes: list[Any], constants: dict[str, Any], y: str = "y", opset: int = 20, batch: int | str = 8) -> Any:
    """A model of x (batch, 6, 5) and y of that shape."""
    shape: list[Any] = [batch, 6, 5]
    given, made = (helper.make_tensor_value_info(n, FLOAT, shape) for n in ("x", y))
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "model", [given], [made], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def two_layers(keep: float = 0.5, shared: bool = False) -> Any:
    """Two layers of whole channels with a scale between them. ``shared``: the second uses the mask of the first."""
    second = channels("second", "b", "y", keep)
    if shared:
        second = [helper.make_node("Mul", ["b", "first_scale"], ["y"])]
    nodes = [
        *channels("first", "x", "a", keep),
        helper.make_node("Mul", ["a", "two"], ["b"], name="between"),
        *second,
    ]
    constants = {
        "like": np.zeros((8, 6, 1), np.float32),
        "first_keep": np.float32(keep),
        "second_keep": np.float32(keep),
        "two": np.full((1, 6, 1), 2, np.float32),
    }
    return model(nodes, constants)


def alpha(rate: float = 0.3, sign: int = 1, noted: bool = False) -> Any:
    """An element-wise AlphaDropout as torch.onnx exports it. ``sign``: -1 drops to the wrong sign; ``noted``: its class is."""
    whole = Contract.alpha("n -> n")
    node, a = helper.make_node, whole.scale_at(rate)
    drawn = node("RandomUniformLike", ["like"], ["drawn"], name="alpha", high=1.0, low=0.0)
    if noted:
        drawn.metadata_props.add(
            key="pkg.torch.onnx.class_hierarchy", value="['net.Net', 'torch.nn.modules.dropout.AlphaDropout']"
        )
    nodes = [
        drawn,
        node("Less", ["drawn", "keep"], ["kept"]),
        node("Cast", ["kept"], ["mask"], to=FLOAT),
        node("Add", ["mask", "minus"], ["gone"]),  # -1 where dropped
        node("Mul", ["gone", "value"], ["shifted"]),
        node("Add", ["shifted", "b"], ["all"]),
        node("Mul", ["mask", "a"], ["factor"]),
        node("Mul", ["x", "factor"], ["held"]),
        node("Add", ["held", "all"], ["y"]),
    ]
    b = whole.offset_at(rate)
    constants = {
        "like": np.zeros((8, 6, 5), np.float32),
        "keep": np.float32(1 - rate),
        "minus": np.float32(-1),
        "value": np.float32(sign * (b - whole.dropped_at(rate))),
        "b": np.float32(b),
        "a": np.float32(a),
    }
    return model(nodes, constants)


def dropout(training: bool = True, ratio: float = 0.3, opset: int = 20, batch: int | str = 8, **attributes: Any) -> Any:
    """One Dropout node named drop."""
    names = ["x", "ratio", "training"] if opset >= 12 else ["x"]
    node = helper.make_node("Dropout", names, ["y"], name="drop", **attributes)
    constants = {"ratio": np.float32(ratio), "training": np.array(training)} if opset >= 12 else {}
    return model([node], constants, opset=opset, batch=batch)


def branches(condition: bool | None = None) -> Any:
    """An If named split: element-wise Dropout .3 in one branch, whole channels .5 in the other. ``condition``: None, an input."""
    node, taken = helper.make_node, "condition"
    then = helper.make_graph(
        [node("Dropout", ["x", "ratio", "training"], ["a"], name="drop")],
        "then",
        [],
        [helper.make_tensor_value_info("a", FLOAT, None)],
        [numpy_helper.from_array(np.array(True), "training")],
    )
    other = helper.make_graph(
        channels("first", "x", "b"), "else", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )
    constants: dict[str, Any] = {
        "ratio": np.float32(0.3),
        "like": np.zeros((8, 6, 1), np.float32),
        "first_keep": np.float32(0.5),
    }
    if condition is not None:
        constants[taken] = np.array(condition)
    whole = model([node("If", [taken], ["y"], name="split", then_branch=then, else_branch=other)], constants)
    if condition is None:
        whole.graph.input.append(helper.make_tensor_value_info(taken, TensorProto.BOOL, []))
    return whole


def loop(ratio: float = 0.3, **attributes: Any) -> Any:
    """A Loop named steps of three iterations, with a Dropout node on what it carries."""
    node, info = helper.make_node, helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("Dropout", ["carried", "ratio", "training"], ["dropped"], name="drop", **attributes),
            node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("carried", FLOAT, [8, 6, 5])],
        [info("go_on", TensorProto.BOOL, []), info("dropped", FLOAT, [8, 6, 5])],
    )
    constants = {"ratio": np.float32(ratio), "training": np.array(True), "three": np.int64(3), "begin": np.array(True)}
    return model([node("Loop", ["three", "begin", "x"], ["y"], name="steps", body=body)], constants)
