"""ONNX files as models: each place that drops is fed in real runs of the file, and is a target of its own."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Implementation, Unsupported
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import onnx_bodies, onnx_parts
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import Use, expected_of, names_of, neighbours, timed
from spatial_dropouts.adapters.onnx_loading import File, Session, engine_name, inputs, serialised, version
from spatial_dropouts.adapters.onnx_places import RANDOM, Graph, Place, dropouts, kind_of, subgraphs

ITERATIONS = 4  # of a loop in which a place is looked at
STARTS = 24  # sessions, each with a seed of its own
_NEAR = 2.0**-7  # of a dropped value, with the roundings of the narrowest dtype
_LAST = ("Gemm", "MatMul", "LayerNormalization")
_SECOND = ("Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization")
_NO_BACKWARD = "an ONNX file has no backward pass"
_NO_INFERENCE = "the file was exported in training mode, and has no inference mode to switch to"


class _Use(Use):
    """A place in real runs. ``starts``: the first output of sessions with seeds of their own."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            place.name, place.kind, "class" if place.node.op_type == "Dropout" else "name", place.rate, place.whole
        )
        self.place, self.starts = place, []  # type: Place, List[Any]

    def answer(self) -> Dict[str, Any]:
        found = super().answer()
        if self.place.iterations:
            before, rank = found["axes"], len(self.place.shape)
            inner = names_of(rank, rank - 1) if rank > 1 else ("batch",)
            names = dict(zip(before, ("iteration", *inner)))
            found["axes"] = [names[n] for n in before]
            if found["expected"]:
                found["expected"] = " ".join(names.get(n, n) for n in found["expected"].split())
        if self.place.fixed and found["expected"]:
            found["expected"] = _sized(found["expected"], found["axes"], self.place)
        found["own_law"] = _self_normalizing(self.place)
        return {**found, "starts": self._stacked(self.starts)} if self.starts else found


def _sized(pattern: str, axes: Sequence[str], place: Place) -> str:
    """The pattern with the sizes that the file fixes."""
    left, right = pattern.split(" -> ")
    lead = len(axes) - len(place.shape)
    sized = [f"{a}={place.whole[i]}" if i - lead in place.fixed else a for i, a in enumerate(axes)]
    return f"{' '.join(sized)} -> {right}" if left.split() == list(axes) else pattern


class _Seen:
    """What was found in a file and seen in its runs."""

    def __init__(self, graph: Graph, places: List[Place], notes: List[str]) -> None:
        self.graph, self.places, self.notes = graph, places, notes
        self.still: List[Tuple[str, str]] = []
        self.away: List[str] = []  # what draws inside of bodies that are not looked into
        self.other: List[Any] = []
        self.uses: List[_Use] = []


def is_model(thing: Any) -> bool:
    return True


def framework(thing: File) -> str:
    """The engine, as results name it."""
    return "onnxruntime" if thing.engine == "onnxruntime" else "onnx.reference"


def survey(
    thing: File, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of places that drop in runs of the file. Raises NoDropout with a sentence where there are none."""
    seen = _found(thing, shape)
    if not seen.places:
        raise NoDropout(_without(thing, seen))
    _observe(thing, seen, shape, calls, seconds)
    return list(seen.uses), seen.notes


def sites(thing: File, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``."""
    seen: _Seen = thing.seen  # type: ignore[attr-defined] # of the survey
    drawn = [_draw(p.node.op_type, p.name, p.kind, p.rate, p.mask or p.shape) for p in seen.places] + [
        _draw(n.op_type, seen.graph.names[id(n)], kind_of(n), None, ()) for n in seen.other
    ]
    return {
        "version": version(thing.engine),
        "training": drawn,
        "inference": [],
        "unreached": [],
        "backward": [],
        "unasked": _NO_BACKWARD,
        "shared": [],
        "uninferred": _NO_INFERENCE,
    }


def _draw(op: str, module: str, kind: str, rate: Optional[float], shape: Sequence[int]) -> Dict[str, Any]:
    found = {"op": op, "function": "", "module": module, "kind": kind, "rate": rate, "shape": [int(s) for s in shape]}
    return {**found, "file": "", "line": 0, "where": ""}


def inside(thing: File, path: str) -> Any:
    """The place of that name as an implementation, driven by itself."""
    seen = _found(thing, None)
    found = {place.name: place for place in seen.places}
    if path not in found:
        near = difflib.get_close_matches(path, list(found), 1, 0.0)
        words = f"; the nearest is {near[0]!r}" if near else f": {_without(thing, seen)}"
        raise NoDropout(f"{thing.name} has no node {path!r} that drops in training{words}")
    place = found[path]
    names = _names(len(place.shape))
    if place.iterations:
        names = ("iteration", *names)
    own = place.seed is not None
    way = () if own or thing.engine != "onnxruntime" else ("global",)
    rates = None if place.rate is None else (place.rate,)
    contract = Contract(Pattern(names, names), seeds=way, gradient=False, rates=rates)
    if _self_normalizing(place):
        contract = replace(contract, scale="alpha", offset="alpha", dropped="alpha")
    return Implementation(make=onnx_layer(thing, seen.graph, place), framework="onnx", contract=contract)


def _names(rank: int) -> Tuple[str, ...]:
    return tuple(names_of(rank, rank - 1 if rank < 3 else 1)) if rank > 1 else ("batch",)


def _self_normalizing(place: Place) -> bool:
    """Whether a place was exported of an AlphaDropout: by the class that is noted beside it, or by what is dropped."""
    if "alpha" in place.kind.lower():
        return True
    if place.dropped == 0 or place.rate is None:
        return False
    wanted = Contract.alpha("n -> n").dropped_at(place.rate)
    return abs(place.dropped - wanted) <= _NEAR * abs(wanted)


def onnx_layer(thing: File, graph: Graph, place: Place) -> Any:
    """What the adapter of one place drives."""
    from spatial_dropouts.adapters.onnx_layers import Part

    return Part(onnx_parts.model_of(graph, place), thing.engine, str(np.dtype(place.dtype)), place.iterations > 0)


def _without(thing: File, seen: _Seen) -> str:
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


def _found(thing: File, shape: Optional[Sequence[int]]) -> _Seen:
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
) -> _Seen:
    graph = Graph(thing.proto)
    nodes, still = dropouts(graph)
    around, other = subgraphs(graph)
    places = sorted([*nodes, *around], key=lambda p: graph.order[id(p.node)])
    away = graph.inside(whole.done if whole is not None else set())
    seen = _Seen(graph, places, [f"{words}: {why}" for words in away])
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


def _shapes(thing: File, seen: _Seen, shape: Optional[Sequence[int]]) -> None:
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
    trace = [name for n in seen.graph.nodes if n.op_type in (*_LAST, *_SECOND) for name in (n.input[0], n.output[0])]
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
            _outputs(proto, made)
        else:
            made = [one.name for one in before]
        return dict(zip(made, _run(thing, lambda: Session(proto, thing.engine).run(made, given), given)))
    finally:
        del proto.graph.output[:]
        proto.graph.output.extend(before)


def _outputs(proto: Any, names: Sequence[str]) -> None:
    from onnx import ValueInfoProto

    del proto.graph.output[:]
    proto.graph.output.extend([ValueInfoProto(name=name) for name in names])


def _run(thing: File, run: Callable[[], Any], given: Dict[str, Any]) -> Any:
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


def _observe(thing: File, seen: _Seen, shape: Optional[Sequence[int]], calls: int, seconds: float) -> None:
    """Feed each place in runs of the whole file, whose other nodes stay as they are: their numbers seed generators."""
    from onnx import helper

    proto = thing.proto
    given, _ = inputs(proto, shape)
    uses = [_Use(place) for place in seen.places]
    made_by: Dict[str, str] = {}  # the name of a place -> that of its output
    for number, use in enumerate(uses):
        place, fed = use.place, f"dropcheck_fed_{number}"
        made_by[use.name] = place.y
        if place.iterations:
            fed, made_by[use.name] = onnx_bodies.joined(proto, onnx_parts.model_of(seen.graph, place), number)
            given[fed] = use.x.astype(place.dtype)
            _describe(use)
            continue
        for node in place.inner:
            node.input[:] = [fed if n == place.x else n for n in node.input]
        proto.graph.input.append(
            helper.make_tensor_value_info(
                fed, helper.np_dtype_to_tensor_dtype(np.dtype(place.dtype)), list(place.shape)
            )
        )
        given[fed] = use.x.astype(place.dtype)
        _describe(use)
        neighbours(use, _trace(seen, use), _convention)
    names = list(dict.fromkeys(made_by.values()))
    _outputs(proto, names)
    data: Any = serialised(proto) if thing.engine == "onnxruntime" else proto
    session = _run(thing, lambda: Session(data, thing.engine, 20141110), given)
    _run(thing, lambda: session.run(names, given), given)

    def take(started: Any, first: bool) -> None:
        made = dict(zip(names, started.run(names, given)))
        for use in uses:
            y = np.asarray(made[made_by[use.name]])
            if first:
                use.starts.append(np.array(y[use.cut], np.float64))
            else:
                use.take(y)

    timed(lambda: take(session, False), calls, seconds)
    if thing.engine == "onnxruntime":
        seeds = iter(np.random.default_rng(5).integers(0, 2**31, STARTS))
        timed(lambda: take(Session(data, thing.engine, int(next(seeds))), True), STARTS, seconds)
    seen.uses = [use for use in uses if tuple(use.shape) == use.place.whole]
    thing.seen = seen  # type: ignore[attr-defined]


def _describe(use: _Use) -> None:
    place = use.place
    use.expected = "all" if place.node.op_type == "Dropout" else expected_of(place.kind)
    if place.node.op_type != "Dropout":
        lead = len(place.shape) - len(place.mask)
        use.noise = [
            i for i in range(len(place.shape)) if i >= lead and (place.mask[i - lead] != 1 or place.shape[i] == 1)
        ]
        if place.iterations:  # each iteration draws anew
            use.noise = [0, *(i + 1 for i in use.noise)]
    use.plain = place.dropped == 0


def _trace(seen: _Seen, use: _Use) -> List[Tuple[str, Any, Any, Any]]:
    """The nodes around a place that say where channels are, in order, as ``neighbours`` takes them."""
    shapes: Dict[str, Tuple[int, ...]] = seen.trace  # type: ignore[attr-defined]
    rows = []
    for node in seen.graph.nodes:
        if node is use.place.node:
            rows.append((use.name, _node("Dropout"), _shaped(use.shape), _shaped(use.shape)))
        elif node.op_type in (*_LAST, *_SECOND) and node.input[0] in shapes and node.output[0] in shapes:
            x, y = _shaped(shapes[node.input[0]]), _shaped(shapes[node.output[0]])
            rows.append((seen.graph.names[id(node)], _node(node.op_type), x, y))
    return rows


def _convention(layer: Any) -> Optional[int]:
    kind = type(layer).__name__
    return -1 if kind in _LAST else 1 if kind in _SECOND else None


def _node(op: str) -> Any:
    return type(op, (), {})()


def _shaped(shape: Sequence[int]) -> Any:
    return type("Shaped", (), {"shape": tuple(shape)})()
