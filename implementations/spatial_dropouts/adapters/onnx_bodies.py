"""Branches and loops of ONNX graphs: what drops in them is written into the main graph, where it is found as anywhere.

The nodes of a branch take the place of their If. The nodes of a loop's body stand before the loop, once, on what it begins
with; a layer among them is then driven in a loop of its own, whose iterations are the first axis of its input.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import numpy as np

_DEEPEST = 4  # bodies within bodies


class Lifted:
    """``proto``: the model with its bodies written out. ``loops``: what begins the names of nodes of a loop's body.

    ``done``: names of the nodes whose bodies were written out; ``notes``: sentences about them.
    """

    def __init__(self, proto: Any) -> None:
        self.proto = proto
        self.loops: List[str] = []
        self.done: Set[str] = set()
        self.notes: List[str] = []

    def iterates(self, name: str) -> bool:
        """Whether a node of that name stands in the body of a loop."""
        return any(name.startswith(start) for start in self.loops)


def lifted(proto: Any, random: Sequence[str]) -> Optional[Lifted]:
    """The model with every If and Loop written out in which one of these operators is; None where there is none."""
    from spatial_dropouts.adapters.onnx_places import Graph

    whole = type(proto)()
    whole.CopyFrom(proto)
    found = Lifted(whole)
    for depth in range(_DEEPEST):
        graph = Graph(whole)
        some = [n for n in graph.nodes if n.op_type in ("If", "Loop") and _draws(n, random)]
        some = [n for n in some if graph.names[id(n)] not in found.done]
        wanted = {id(n) for n in some}
        if not some:
            return found if depth else None
        nodes: List[Any] = []
        for node in graph.nodes:
            node.name = graph.names[id(node)]  # a name that a number of the node makes must stay
            if id(node) not in wanted:
                nodes.append(node)
                continue
            found.done.add(node.name)
            if node.op_type == "If":
                nodes += _branches(found, graph, node, random)
            else:
                nodes += [*_iteration(found, node), node]
        kept = [_copy(n) for n in nodes]
        del whole.graph.node[:]
        whole.graph.node.extend(kept)
    return found


def _draws(node: Any, random: Sequence[str]) -> bool:
    return any(inner.op_type in random for graph in _graphs(node) for inner in _all(graph))


def _graphs(node: Any) -> Iterator[Any]:
    for a in node.attribute:
        yield from (a.g,) if a.type == 5 else a.graphs


def _all(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for inner in _graphs(node):
            yield from _all(inner)


def _copy(node: Any) -> Any:
    made = type(node)()
    made.CopyFrom(node)
    return made


def renamed(nodes: Sequence[Any], names: Dict[str, str]) -> List[Any]:
    """Copies of nodes under other names of tensors, in their bodies as well (no two tensors of a model have one name)."""
    made = [_copy(n) for n in nodes]
    wanted = list(made)
    while wanted:
        node = wanted.pop()
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
        for graph in _graphs(node):
            wanted += list(graph.node)
            for one in graph.output:
                one.name = names.get(one.name, one.name)
    return made


def _written(found: Lifted, body: Any, start: str, names: Dict[str, str]) -> List[Any]:
    """The nodes of a body under names that begin with ``start``; its constants become those of the model."""
    from spatial_dropouts.adapters.onnx_places import _names

    names = dict(names)
    for name in (*(i.name for i in body.initializer), *(o for n in body.node for o in n.output if o)):
        names[name] = f"{start}{name}"
    for one in body.initializer:
        kept = found.proto.graph.initializer.add()
        kept.CopyFrom(one)
        kept.name = names[one.name]
    nodes = list(body.node)
    own, made = _names(nodes), renamed(nodes, names)
    for old, node in zip(nodes, made):
        node.name = start + own[id(old)]
    return made


def _branches(found: Lifted, graph: Any, node: Any, random: Sequence[str]) -> List[Any]:
    from onnx import helper

    held = graph.value(node.input[0])
    bodies = {a.name.partition("_")[0]: a.g for a in node.attribute}
    taken = ["then", "else"] if held is None else ["then" if bool(np.all(held)) else "else"]
    if held is None:
        found.notes.append(f"both branches of If {node.name} are run, whatever its condition says")
    for word in [w for w in bodies if w not in taken]:
        if any(n.op_type in random for n in _all(bodies[word])):
            found.notes.append(f"the {word} branch of If {node.name} never runs: its condition is a constant")
    made: List[Any] = []
    for number, word in enumerate(taken):
        body, start = bodies[word], f"{node.name}/{word}/"
        some = _written(found, body, start, {})
        inside = {o for n in some for o in n.output} | {start + i.name for i in body.initializer}
        made += some
        if number:
            continue  # what follows is given the first branch
        for inner, outer in zip(body.output, node.output):
            name = start + inner.name if start + inner.name in inside else inner.name
            made.append(helper.make_node("Identity", [name], [outer], name=f"{start}{outer}"))
    return made


def _iteration(found: Lifted, node: Any) -> List[Any]:
    from onnx import numpy_helper

    body, start = next(_graphs(node)), f"{node.name}/body/"
    names = {one.name: outer for one, outer in zip(body.input[2:], node.input[2:])}
    for one, value in zip(body.input[:2], (np.int64(0), np.bool_(True))):
        names[one.name] = f"{start}{one.name}"
        found.proto.graph.initializer.append(numpy_helper.from_array(np.array(value), names[one.name]))
    found.loops.append(start)
    found.notes.append(
        f"in the body of Loop {node.name}, each iteration has decisions of its own: the first axis is theirs"
    )
    return _written(found, body, start, names)


def looped(proto: Any, x: str, y: str) -> Any:
    """A model of one input and one output, ``x`` and ``y``, as the body of a loop over a new first axis of both."""
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    given = graph.input[0].type.tensor_type
    here = {x: f"{x}_here", y: f"{y}_here"}
    at, go = "dropcheck_iteration", "dropcheck_go"
    inner = [
        helper.make_node("Gather", [x, at], [here[x]], axis=0),
        *renamed(graph.node, here),
        helper.make_node("Identity", [go], [f"{go}_on"]),
    ]
    body = helper.make_graph(
        inner,
        "body",
        [
            helper.make_tensor_value_info(at, TensorProto.INT64, []),
            helper.make_tensor_value_info(go, TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info(f"{go}_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info(here[y], given.elem_type, None),
        ],
    )
    nodes = [
        helper.make_node("Shape", [x], ["dropcheck_whole"]),
        helper.make_node("Gather", ["dropcheck_whole", "dropcheck_first"], ["dropcheck_times"]),
        helper.make_node(
            "Loop", ["dropcheck_times", "dropcheck_begin"], ["dropcheck_all"], body=body, name="iterations"
        ),
        # engines put the outputs of iterations one after another; onnx.reference 1.23 along no axis of their own
        helper.make_node("Reshape", ["dropcheck_all", "dropcheck_whole"], [y]),
    ]
    sizes = [None, *(d.dim_value if d.HasField("dim_value") else None for d in given.shape.dim)]
    whole = helper.make_graph(
        nodes,
        graph.name,
        [helper.make_tensor_value_info(x, given.elem_type, sizes)],
        [helper.make_tensor_value_info(y, given.elem_type, None)],
        [
            *graph.initializer,
            numpy_helper.from_array(np.array(0, np.int64), "dropcheck_first"),
            numpy_helper.from_array(
                np.array(True), "dropcheck_begin"
            ),  # without it onnx.reference 1.23 makes no iteration
        ],
    )
    return helper.make_model(whole, opset_imports=list(proto.opset_import), ir_version=proto.ir_version)


def joined(proto: Any, part: Any, number: int) -> Tuple[str, str]:
    """Add a model of one input and one output to another; the names of its input and its output there."""
    start = f"dropcheck_part{number}_"
    graph = part.graph
    tensors = [
        *(one.name for one in graph.initializer),
        *(o for n in _all(graph) for o in n.output if o),
        graph.input[0].name,
    ]
    for body in (g for n in _all(graph) for g in _graphs(n)):
        tensors += [one.name for one in (*body.input, *body.initializer)]
    names = {name: start + name for name in tensors}
    for node in renamed(graph.node, names):
        for body in (g for n in (node, *(i for g in _graphs(node) for i in _all(g))) for g in _graphs(n)):
            for one in (*body.input, *body.initializer):
                one.name = names.get(one.name, one.name)
        proto.graph.node.append(node)
    for one in graph.initializer:
        kept = proto.graph.initializer.add()
        kept.CopyFrom(one)
        kept.name = names[one.name]
    given = proto.graph.input.add()
    given.CopyFrom(graph.input[0])
    given.name = names[graph.input[0].name]
    return given.name, names[graph.output[0].name]
