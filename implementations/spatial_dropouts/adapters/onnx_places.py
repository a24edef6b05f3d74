"""Where an ONNX graph drops: its Dropout nodes, and the random nodes with what makes a mask of them and applies it."""

from __future__ import annotations

import ast
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

import numpy as np

RANDOM = ("RandomUniformLike", "RandomUniform", "Bernoulli", "RandomNormalLike", "RandomNormal", "Multinomial")
_MASKS = RANDOM[:3]
_LEVELLING = ("Mul", "Div", "Add", "Sub", "Where", "Cast")


class Place:
    """One place: ``x`` and ``y`` are the names of what goes in and what comes out, ``inner`` the nodes between them, in order.

    ``node``: the one that draws. ``ratio``, ``training``: of a Dropout node, by name, empty where it has none.
    """

    def __init__(self, name: str, kind: str, node: Any, x: str, y: str, inner: List[Any]) -> None:
        self.name, self.kind, self.node, self.x, self.y, self.inner = name, kind, node, x, y, inner
        self.rate: Optional[float] = None
        self.shape: Tuple[int, ...] = ()
        self.mask: Tuple[int, ...] = ()  # the shape of what the random node draws
        self.fixed: Tuple[int, ...] = ()  # axes of ``shape`` whose size the file fixes
        self.dtype: Any = None
        self.probability: Optional[float] = None  # of a Bernoulli node
        self.dropped: float = 0.0  # what a dropped element becomes
        self.iterations = 0  # of the loop in which it is driven: above 0, its input has them as its first axis

    @property
    def whole(self) -> Tuple[int, ...]:
        """The shape of what it is driven with."""
        return (self.iterations, *self.shape) if self.iterations else self.shape

    @property
    def seed(self) -> Optional[float]:
        """The seed attribute of the node that draws."""
        return next((a.f if a.type == 1 else a.i for a in self.node.attribute if a.name == "seed"), None)


class Graph:
    """The main graph of a model with its nodes by what they make and what they take."""

    def __init__(self, proto: Any) -> None:
        import onnx

        self.proto, self.nodes = proto, list(proto.graph.node)
        self.order = {id(n): i for i, n in enumerate(self.nodes)}
        self.maker = {name: n for n in self.nodes for name in n.output if name}
        self.takers: Dict[str, List[Any]] = {}
        for n in self.nodes:
            for name in n.input:
                self.takers.setdefault(name, []).append(n)
        self._constants: Dict[str, Any] = {i.name: i for i in proto.graph.initializer}
        for n in self.nodes:
            if n.op_type == "Constant":
                self._constants[n.output[0]] = n
        self.opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 1)
        self._arrays = onnx.numpy_helper.to_array
        self.names = _names(self.nodes)

    def constant(self, name: str) -> bool:
        """Whether a name is a value that the file holds."""
        return name in self._constants

    def value(self, name: str) -> Any:
        """The value of a constant as an array; None for what is none, or too large to be a rate or a shape."""
        held = self._constants.get(name)
        if held is None:
            return None
        if not hasattr(held, "op_type"):
            return self._arrays(held) if int(np.prod(held.dims)) <= 4096 else None
        for a in held.attribute:
            if a.name == "value":
                return self._arrays(a.t)
            if a.name in ("value_float", "value_int"):
                return np.array(a.f if a.name == "value_float" else a.i)
            if a.name in ("value_floats", "value_ints"):
                return np.array(list(a.floats or a.ints))
        return None

    def inside(self, done: Set[str]) -> List[str]:
        """Operators that draw inside of bodies; ``done``: nodes whose bodies are written out."""
        found: List[str] = []
        for node in self.nodes:
            if self.names[id(node)] in done:
                continue
            for a in node.attribute:
                for graph in (a.g, *a.graphs) if a.type in (5, 10) else ():
                    found += [f"{n.op_type} inside of {node.op_type} {self.names[id(node)]}" for n in _all(graph)
                              if n.op_type in (*RANDOM, "Dropout")]  # fmt: skip
        return found


def _all(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for a in node.attribute:
            for inner in (a.g, *a.graphs) if a.type in (5, 10) else ():
                yield from _all(inner)


def _names(nodes: List[Any]) -> Dict[int, str]:
    """A name of its own for each node: the file's, or operator and number where that is empty or taken."""
    taken: Set[str] = set()
    made: Dict[int, str] = {}
    for number, node in enumerate(nodes):
        name = node.name if node.name and node.name not in taken else f"{node.op_type}_{number}"
        taken.add(name)
        made[id(node)] = name
    return made


def kind_of(node: Any) -> str:
    """The class of the layer that an exporter notes beside a node, or its operator."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.class_hierarchy":
            try:
                names = [str(n).rpartition(".")[2] for n in ast.literal_eval(entry.value) if "aten" not in str(n)]
            except (ValueError, SyntaxError):
                continue
            drops = [n for n in names if "drop" in n.lower()]
            if drops:
                return drops[-1]
    return str(node.op_type)


def dropouts(graph: Graph) -> Tuple[List[Place], List[Tuple[str, str]]]:
    """Dropout nodes that may train, and (name, why not) of the others."""
    found: List[Place] = []
    still: List[Tuple[str, str]] = []
    for node in graph.nodes:
        if node.op_type != "Dropout" or node.domain not in ("", "ai.onnx"):
            continue
        name = graph.names[id(node)]
        training = node.input[2] if len(node.input) > 2 else ""
        if graph.opset < 12:
            still.append((name, f"opset {graph.opset} has no training mode"))
        elif not training or (graph.constant(training) and not bool(np.all(graph.value(training)))):
            still.append((name, "training_mode is false"))
        else:
            place = Place(name, kind_of(node), node, node.input[0], node.output[0], [node])
            ratio = graph.value(node.input[1]) if len(node.input) > 1 and node.input[1] else np.array(0.5)
            place.rate = round(float(ratio), 6) if ratio is not None else None
            found.append(place)
    return found, still


def subgraphs(graph: Graph) -> Tuple[List[Place], List[Any]]:
    """Places around random nodes, and the random nodes that decide nothing about a tensor as a mask does."""
    found: List[Place] = []
    other: List[Any] = []
    for node in graph.nodes:
        if node.op_type not in RANDOM:
            continue
        some = _places(graph, node) if node.op_type in _MASKS else []
        found += some
        other += [] if some else [node]
    return found, other


def _places(graph: Graph, node: Any) -> List[Place]:
    drawn = {node.output[0]}  # what is made of the random numbers and of constants alone
    ends: List[Any] = []
    for n in graph.nodes[graph.order[id(node)] + 1 :]:
        if not any(name in drawn for name in n.input):
            continue
        rest = [name for name in n.input if name and name not in drawn and not graph.constant(name)]
        if n.op_type in ("Shape", "Size"):
            continue
        if not rest:
            drawn.update(n.output)
        elif len(rest) == 1 and n.op_type in ("Mul", "Where", "Div"):
            ends.append((n, rest[0]))
    found: List[Place] = []
    used: Set[int] = set()
    for end, x in ends:
        if id(end) in used:
            continue
        inner, y = [end], end.output[0]
        while True:
            used.add(id(inner[-1]))
            after = graph.takers.get(y, [])
            if len(after) != 1 or after[0].op_type not in _LEVELLING or y in {o.name for o in graph.proto.graph.output}:
                break
            rest = [name for name in after[0].input if name and name != y]
            if not rest or not all(name in drawn for name in rest):
                scale = graph.value(rest[0]) if len(rest) == 1 else None
                if scale is None or scale.size != 1 or after[0].op_type not in ("Mul", "Div") or len(inner) > 1:
                    break
                inner.append(after[0])  # perhaps the scale of what is kept: ``levelled`` takes it back if not
                y = after[0].output[0]
                break
            inner.append(after[0])
            y = after[0].output[0]
        name = graph.names[id(node)] + (f"/{len(found) + 1}" if found else "")
        place = Place(name, kind_of(node), node, x, y, [])
        place.inner = _between(graph, place)
        found.append(place)
    return found


def _between(graph: Graph, place: Place) -> List[Any]:
    """The nodes that make y of x, of constants and of the random node, in the order of the graph."""
    wanted, seen = [place.y], {}
    while wanted:
        name = wanted.pop()
        node = graph.maker.get(name)
        if name == place.x or node is None or id(node) in seen or node.op_type == "Constant":
            continue
        seen[id(node)] = node
        if node is not place.node:
            wanted += [n for n in node.input if n]
    return sorted(seen.values(), key=lambda n: graph.order[id(n)])
