"""One place of an ONNX graph as a model of its own, and what its random numbers decide: the rate, and what is kept."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from spatial_dropouts.adapters import onnx_bodies
from spatial_dropouts.adapters.onnx_loading import Session
from spatial_dropouts.adapters.onnx_places import Graph, Place

_HALVINGS = 40
X, Y, DRAWN = "dropcheck_x", "dropcheck_y", "dropcheck_drawn"


def model_of(graph: Graph, place: Place, seed: Optional[int] = None, drawn: bool = False) -> Any:
    """A model of one input and one output that is this place alone. ``seed``: of the node; None: as it stands in the file.

    ``drawn``: the random numbers are a second input. A place of a loop's body is driven in a loop of its own.
    """
    from onnx import TensorProto, helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(place.dtype))
    nodes: List[Any] = []
    held = {i.name: i for i in graph.proto.graph.initializer}
    constants: Dict[str, Any] = {}
    for old in place.inner:
        if old is place.node and drawn:
            continue
        node = type(old)()
        node.CopyFrom(old)
        renamed = {place.x: X, place.y: Y, place.node.output[0]: DRAWN if old.op_type != "Dropout" else Y}
        node.input[:] = [renamed.get(n, n) for n in old.input]
        node.output[:] = [renamed.get(n, n) for n in old.output]
        if old is place.node:
            if seed is not None:
                kept = [a for a in node.attribute if a.name != "seed"]
                del node.attribute[:]
                whole = old.op_type == "Dropout"
                node.attribute.extend([*kept, helper.make_attribute("seed", int(seed) if whole else float(seed))])
            if old.op_type == "Dropout":
                node.input[1:] = ["dropcheck_ratio", "dropcheck_training"]
                rate = np.array(place.rate, np.float64 if np.dtype(place.dtype) == np.float64 else np.float32)
                constants["dropcheck_ratio"] = (helper.np_dtype_to_tensor_dtype(rate.dtype), [], [float(rate)])
                constants["dropcheck_training"] = (TensorProto.BOOL, [], [True])
            elif old.op_type != "RandomUniform":
                nodes += _like(graph, place, node, constants)
        nodes.append(node)
    made: List[Any] = [helper.make_tensor(n, *parts) for n, parts in constants.items()]
    for name in dict.fromkeys(n for node in nodes for n in node.input):
        if name in held and name not in constants:
            made.append(held[name])
        elif name in graph.maker and graph.maker[name].op_type == "Constant":
            nodes.insert(0, graph.maker[name])
    shape = [place.shape[i] if i in place.fixed else None for i in range(len(place.shape))]
    given = [helper.make_tensor_value_info(X, kind, shape)]
    if drawn:
        drawn_kind = helper.np_dtype_to_tensor_dtype(np.dtype(drawn_dtype(place)))
        given.append(helper.make_tensor_value_info(DRAWN, drawn_kind, None))
    whole = helper.make_graph(nodes, "place", given, [helper.make_tensor_value_info(Y, kind, None)], made)
    made_model = helper.make_model(
        whole, opset_imports=list(graph.proto.opset_import), ir_version=graph.proto.ir_version
    )
    return onnx_bodies.looped(made_model, X, Y) if place.iterations and not drawn else made_model


def _like(graph: Graph, place: Place, node: Any, constants: Dict[str, Any]) -> List[Any]:
    """Nodes that make the tensor whose shape, or whose probabilities, a random node takes: of the shape of x."""
    from onnx import TensorProto, helper

    lead = len(place.shape) - len(place.mask)
    sizes: List[str] = []
    for axis, size in enumerate(place.mask):
        own = lead + axis
        if size == place.shape[own] and own not in place.fixed and size != 1:
            constants[f"dropcheck_axis{own}"] = (TensorProto.INT64, [1], [own])
            sizes.append(f"dropcheck_size{own}")
        else:
            constants[f"dropcheck_fixed{own}"] = (TensorProto.INT64, [1], [size])
            sizes.append(f"dropcheck_fixed{own}")
    made = [helper.make_node("Shape", [X], ["dropcheck_shape"])]
    for name in sizes:
        if name.startswith("dropcheck_size"):
            axis_name = name.replace("size", "axis")
            made.append(helper.make_node("Gather", ["dropcheck_shape", axis_name], [name]))
    made.append(helper.make_node("Concat", sizes, ["dropcheck_mask"], axis=0))
    value = place.probability if node.op_type == "Bernoulli" and place.probability is not None else 0.0
    tensor = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
    made.append(helper.make_node("ConstantOfShape", ["dropcheck_mask"], ["dropcheck_like"], value=tensor))
    node.input[:] = ["dropcheck_like"]
    return made


def drawn_dtype(place: Place) -> Any:
    """The dtype of what the place's random node draws."""
    from onnx import helper

    kind = next((a.i for a in place.node.attribute if a.name == "dtype"), 1)
    return helper.tensor_dtype_to_np_dtype(kind)


def decide(graph: Graph, place: Place) -> bool:
    """Find the rate, and what a dropped element becomes; whether the place drops at all.

    Its random numbers are given instead of drawn: the number at which an element changes from dropped to kept is its rate.
    """
    session = Session(model_of(graph, place, drawn=True), "reference")
    one = np.ones((1,) * len(place.shape), place.dtype)

    def outputs(u: float) -> List[float]:
        drawn = np.full((1,) * len(place.mask), u, drawn_dtype(place))
        made = [session.run([Y], {X: (one * x).astype(place.dtype), DRAWN: drawn})[0] for x in (1, 2)]
        return [float(np.asarray(y, np.float64).reshape(-1)[0]) for y in made]

    def drops(u: float) -> bool:
        first, second = outputs(u)
        return first == second

    low, high = 0.0, 1.0
    if place.node.op_type == "Bernoulli":
        if drops(0.0) == drops(1.0) or place.probability is None:
            return False
        place.rate = round(1 - place.probability if drops(0.0) else place.probability, 6)
        place.dropped = outputs(0.0 if drops(0.0) else 1.0)[0]
        return True
    for a in place.node.attribute:
        low, high = (a.f if a.name == "low" else low), (a.f if a.name == "high" else high)
    below, above = low, high
    first = drops(below)
    if first == drops(high - (high - low) * 1e-7):
        return False
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        below, above = (middle, above) if drops(middle) == first else (below, middle)
    share = (below - low) / (high - low)
    place.rate = round(share if first else 1 - share, 6)
    place.dropped = outputs(low if first else high - (high - low) * 1e-7)[0]
    return True
