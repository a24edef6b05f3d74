"""What drops in an ONNX file: its places with shapes and rates, from one run of it, and what draws besides."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters import onnx_bodies, onnx_parts
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.onnx_loading import File, Session, engine_name, inputs
from spatial_dropouts.adapters.onnx_places import RANDOM, Graph, Place, dropouts, subgraphs

ITERATIONS = 4  # of a loop in which a place is looked at
LAST = ("Gemm", "MatMul", "LayerNormalization")
SECOND = ("Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization")


class Seen:
    """What was found in a file and seen in its runs."""

    def __init__(self, graph: Graph, places: List[Place], notes: List[str]) -> None:
        self.graph, self.places, self.notes = graph, places, notes
        self.still: List[Tuple[str, str]] = []
        self.away: List[str] = []  # what draws inside of bodies that are not looked into
        self.other: List[Any] = []
        self.uses: List[Any] = []  # of the survey


def places_of(thing: File, shape: Optional[Sequence[int]]) -> Seen:
    """The places of a file with shapes, rates, and what draws besides; one run shows the shapes.

    Branches and bodies of loops are written out first; where that does not run, they are left as they are.
    """
    whole = onnx_bodies.lifted(thing.proto, (*RANDOM, "Dropout"))
    if whole is None:
        return _found_in(thing, shape, None)
    before, thing.proto = thing.proto, whole.proto
    try:
        return _found_in(thing, shape, whole)
    except NoDropout:
        thing.proto = before
        return _found_in(thing, shape, None, "written out, the branches and loops do not all run")


def _found_in(
    thing: File,
    shape: Optional[Sequence[int]],
    whole: Optional[onnx_bodies.Lifted],
    why: str = "only If and Loop are looked into",
) -> Seen:
    graph = Graph(thing.proto)
    nodes, still = dropouts(graph)
    around, other = subgraphs(graph)
    places = sorted([*nodes, *around], key=lambda p: graph.order[id(p.node)])
    away = graph.inside(whole.done if whole is not None else set())
    seen = Seen(graph, places, [f"{words}: {why}" for words in away])
    seen.away = list(seen.notes)
    if whole is not None:
        seen.notes += whole.notes
    seen.still, seen.other = still, other
    if places:
        _shapes(thing, seen, shape)
        seen.places = [p for p in places if p.node.op_type == "Dropout" or onnx_parts.decide(graph, p)]
        kept = {id(p.node) for p in seen.places}
        seen.other += [p.node for p in places if id(p.node) not in kept]
        for place in seen.places:
            place.iterations = ITERATIONS if whole is not None and whole.iterates(place.name) else 0
    if seen.places:
        seen.notes += [f"{name} (Dropout) is in inference mode: {why}" for name, why in still]
    return seen


def without(thing: File, seen: Seen) -> str:
    count, why = len(seen.still), {words for _, words in seen.still}
    total = len(seen.graph.nodes)
    if count:
        which = f"all {count} Dropout nodes are" if count > 1 else "its Dropout node is"
        said = f"{thing.name} drops nothing: {which} in inference mode: {' and '.join(sorted(why))}"
    elif seen.away:
        said = f"{thing.name} has no dropout that can be driven: {'; '.join(seen.away[:2])}"
    elif seen.other:
        some = [f"{n.op_type} at {seen.graph.names[id(n)]}" for n in seen.other[:3]]
        said = f"{thing.name} has no dropout among its {total} nodes: {', '.join(some)} decide nothing as a mask does"
    else:
        said = (
            f"{thing.name} has no dropout among its {total} nodes: no Dropout node, and none that draws random numbers"
        )
    return f"{said}; export with training=torch.onnx.TrainingMode.TRAINING for a model that drops"


def _shapes(thing: File, seen: Seen, shape: Optional[Sequence[int]]) -> None:
    """Run the file once for the shapes and dtypes of its places. Raises NoDropout where it does not run."""
    given, said = inputs(thing.proto, shape)
    seen.notes += [said] if said else []
    wanted: Dict[str, None] = {}
    for place in seen.places:
        wanted[place.x] = None
        if place.node.op_type != "Dropout":
            wanted[place.node.output[0]] = None
            if place.node.op_type == "Bernoulli":
                wanted[place.node.input[0]] = None
    trace = [name for n in seen.graph.nodes if n.op_type in (*LAST, *SECOND) for name in (n.input[0], n.output[0])]
    values = {**_fetch(thing, seen.graph, [*wanted, *trace], given), **given}
    seen.trace = {name: tuple(values[name].shape) for name in trace if name in values}  # type: ignore[attr-defined]
    for place in seen.places:
        x = values[place.x] if place.x in values else seen.graph.value(place.x)
        place.shape, place.dtype = tuple(x.shape), x.dtype
        if place.node.op_type == "Dropout":
            continue
        place.mask = tuple(values[place.node.output[0]].shape)
        if place.node.op_type == "Bernoulli":
            p = np.asarray(values.get(place.node.input[0], seen.graph.value(place.node.input[0])), np.float64)
            place.probability = float(p.reshape(-1)[0]) if p.size and (p == p.reshape(-1)[0]).all() else None
        place.fixed = _fixed(seen.graph, place)
    seen.places = [p for p in seen.places if p.shape and len(p.mask) <= len(p.shape) and np.dtype(p.dtype).kind == "f"]


def _fetch(thing: File, graph: Graph, names: Sequence[str], given: Dict[str, Any]) -> Dict[str, Any]:
    """The values of these names in one run of the file."""
    proto = thing.proto
    made = [n for n in dict.fromkeys(names) if n in graph.maker and graph.maker[n].op_type != "Constant"]
    before = list(proto.graph.output)
    try:
        if made:
            outputs(proto, made)
        else:
            made = [one.name for one in before]
        return dict(zip(made, run(thing, lambda: Session(proto, thing.engine).run(made, given), given)))
    finally:
        del proto.graph.output[:]
        proto.graph.output.extend(before)


def outputs(proto: Any, names: Sequence[str]) -> None:
    from onnx import ValueInfoProto

    del proto.graph.output[:]
    proto.graph.output.extend([ValueInfoProto(name=name) for name in names])


def run(thing: File, run: Callable[[], Any], given: Dict[str, Any]) -> Any:
    """What ``run`` returns. Raises NoDropout with the engine's words where it raises."""
    try:
        return run()
    except (NoDropout, Unsupported):
        raise
    except Exception as error:
        sizes = ", ".join(f"{name} {tuple(np.shape(x))}" for name, x in given.items())
        words = " ".join(str(error).split())[:200]
        raise NoDropout(
            f"{thing.name} does not run in {engine_name(thing.engine)} on inputs of its declared types ({sizes}): {words}; "
            "give --input 8,16,32 for other sizes"
        ) from error


def _fixed(graph: Graph, place: Place) -> Tuple[int, ...]:
    """Axes of x whose size the random node fixes: those of its mask that do not follow a size with a name."""
    if place.node.op_type == "RandomUniform":
        free: List[int] = []
    else:
        source, follows = place.node.input[0], False
        for _ in range(8):  # the tensor whose shape is taken may be x itself, or made of it element by element
            follows = follows or source == place.x
            maker = graph.maker.get(source)
            if (
                follows
                or maker is None
                or not maker.input
                or maker.op_type not in ("Cast", "Identity", "Mul", "Div", "Add")
            ):
                break
            source = maker.input[0]
        if follows:
            return ()
        free = _named_axes(graph, place.node.output[0])
    lead = len(place.shape) - len(place.mask)
    return tuple(lead + i for i, size in enumerate(place.mask) if size != 1 and i not in free)


def _named_axes(graph: Graph, name: str) -> List[int]:
    """Axes of a tensor whose size has a name in the file."""
    for one in graph.proto.graph.value_info:
        if one.name == name:
            return [i for i, d in enumerate(one.type.tensor_type.shape.dim) if d.dim_param]
    return []
