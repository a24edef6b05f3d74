"""ONNX files as models: each place that drops is fed in real runs of the file, and is a target of its own."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import onnx_bodies, onnx_parts
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import Use, expected_of, names_of, neighbours, timed
from spatial_dropouts.adapters.onnx_finding import LAST, SECOND, Seen, outputs, places_of, run, without
from spatial_dropouts.adapters.onnx_loading import File, Session, inputs, serialised, version
from spatial_dropouts.adapters.onnx_places import Graph, Place, kind_of

STARTS = 24  # sessions, each with a seed of its own
_NEAR = 2.0**-7  # of a dropped value, with the roundings of the narrowest dtype
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


def is_model(thing: Any) -> bool:
    return True


def framework(thing: File) -> str:
    """The engine, as results name it."""
    return "onnxruntime" if thing.engine == "onnxruntime" else "onnx.reference"


def survey(
    thing: File, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of places that drop in runs of the file. Raises NoDropout with a sentence where there are none."""
    seen = places_of(thing, shape)
    if not seen.places:
        raise NoDropout(without(thing, seen))
    _observe(thing, seen, shape, calls, seconds)
    return list(seen.uses), seen.notes


def sites(thing: File, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``."""
    seen: Seen = thing.seen  # type: ignore[attr-defined] # of the survey
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
    seen = places_of(thing, None)
    found = {place.name: place for place in seen.places}
    if path not in found:
        near = difflib.get_close_matches(path, list(found), 1, 0.0)
        words = f"; the nearest is {near[0]!r}" if near else f": {without(thing, seen)}"
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


def _observe(thing: File, seen: Seen, shape: Optional[Sequence[int]], calls: int, seconds: float) -> None:
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
    outputs(proto, names)
    data: Any = serialised(proto) if thing.engine == "onnxruntime" else proto
    session = run(thing, lambda: Session(data, thing.engine, 20141110), given)
    run(thing, lambda: session.run(names, given), given)

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


def _trace(seen: Seen, use: _Use) -> List[Tuple[str, Any, Any, Any]]:
    """The nodes around a place that say where channels are, in order, as ``neighbours`` takes them."""
    shapes: Dict[str, Tuple[int, ...]] = seen.trace  # type: ignore[attr-defined]
    rows = []
    for node in seen.graph.nodes:
        if node is use.place.node:
            rows.append((use.name, _node("Dropout"), _shaped(use.shape), _shaped(use.shape)))
        elif node.op_type in (*LAST, *SECOND) and node.input[0] in shapes and node.output[0] in shapes:
            x, y = _shaped(shapes[node.input[0]]), _shaped(shapes[node.output[0]])
            rows.append((seen.graph.names[id(node)], _node(node.op_type), x, y))
    return rows


def _convention(layer: Any) -> Optional[int]:
    kind = type(layer).__name__
    return -1 if kind in LAST else 1 if kind in SECOND else None


def _node(op: str) -> Any:
    return type(op, (), {})()


def _shaped(shape: Sequence[int]) -> Any:
    return type("Shaped", (), {"shape": tuple(shape)})()
