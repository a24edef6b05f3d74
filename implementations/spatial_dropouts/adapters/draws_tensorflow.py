"""Every random draw of a TensorFlow program, read from its graph: op, shape, rate, line of code, layer."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import tensorflow as tf

from spatial_dropouts.adapters.draws_frames import Caller, caller

_DRAWS = re.compile(
    r"(Stateless)?(Random(Uniform|StandardNormal|Shuffle|Gamma|Poisson|Binomial)|TruncatedNormal|Multinomial|"
    r"ParameterizedTruncatedNormal|Random(Normal|Binomial|Gamma|Poisson)|Stateful(StandardNormal|Uniform|TruncatedNormal|"
    r"RandomBinomial))(Int|Full|FullInt|V[23]|IntV2|FullIntV2)*$"
)
_SAME = ("Identity", "Cast", "Reshape", "BroadcastTo", "StopGradient", "Transpose", "Squeeze", "ExpandDims")
_SMALL = 64  # numbers of a variable that may be a seed
_MOST = 10_000  # draws of one pass that are kept
_MARK = re.compile(r"dropcheck(\d+)[x]")


class Scopes:
    """Name scopes that operations carry into the graph: which layer they belong to."""

    def __init__(self, kind: str) -> None:
        self.known: List[Tuple[str, str, bool]] = [("", kind, False)]

    def mark(self, path: str, kind: str, made: bool) -> Any:
        """A scope for what is traced inside."""
        self.known.append((path, kind, made))
        return tf.name_scope(f"dropcheck{len(self.known) - 1}x")

    def of(self, name: str) -> Tuple[str, str, bool]:
        """Module, class and ``made`` of an operation by its name."""
        marks = _MARK.findall(name)
        return self.known[int(marks[-1])] if marks else self.known[0]


def traced(
    run: Callable[[], Any], scopes: Scopes, variables: bool = True
) -> Tuple[List[Dict[str, Any]], List[Dict[str, Any]], List[str]]:
    """The draws of ``run``, which is traced and not run, as rows of ``dropcheck.contract.sites.Draw``; those that outputs use.

    The last: what each draw is seeded with, as a digest, equal for equal seeds; empty where it is not known. ``variables``:
    whether a variable that is read has one value in the whole pass, so that a seed may come from it.
    """
    graph = tf.__internal__.FuncGraph("a_pass_of_the_model")  # tf.function refuses layers that are made in a call
    with graph.as_default():
        outputs = tf.nest.flatten(run())
    wanted = _backwards(
        [t for t in outputs if tf.is_tensor(t) and not hasattr(t, "numpy")]
    )  # an input that comes out is eager
    rows: List[Dict[str, Any]] = []
    used: List[Dict[str, Any]] = []
    seeds: List[str] = []
    digests: Dict[Any, str] = {}
    for op, name, top, called in _operations(graph, "", None, None, 0):
        if len(rows) < _MOST and _DRAWS.match(op.type) and 0 not in op.outputs[0].shape:
            rows.append(_row(op, name, scopes, called))
            stateless = op.type.startswith("Stateless") and op.graph is graph
            parts = [_digest(t, graph, digests, variables) for t in op.inputs[1:4]] if stateless else []
            seeds.append("".join(parts) if all(parts) else "")
            if top in wanted:
                used.append(rows[-1])
    return rows, used, seeds


def _digest(tensor: Any, graph: Any, known: Dict[Any, str], variables: bool) -> str:
    """A digest of how a seed is computed, from constants and small variables: equal ones are equal numbers."""
    key = tensor.ref()
    if key not in known:
        known[key] = _computed(tensor, graph, known, variables)
    return known[key]


def _computed(tensor: Any, graph: Any, known: Dict[Any, str], variables: bool) -> str:
    op = tensor.op
    value = tf.get_static_value(tensor)
    if value is None and op.type == "ReadVariableOp" and variables:
        outer = next((real for real, inner in graph.captures if inner is op.inputs[0]), None)
        shape = tensor.shape
        if outer is None or shape.rank is None or (shape.num_elements() or _SMALL) >= _SMALL:
            return ""
        value = tf.raw_ops.ReadVariableOp(resource=outer, dtype=tensor.dtype).numpy()
    if value is not None:
        return hashlib.sha256(repr((value.shape, str(value.dtype))).encode() + value.tobytes()).hexdigest()[:24]
    if op.op_def.is_stateful:  # it makes another value each time
        return ""
    below = [_digest(one, graph, known, variables) for one in op.inputs]
    if not below or not all(below):
        return ""
    words = (op.type, sorted(str(a) for a in op.node_def.attr.items()), below, tensor.value_index)
    return hashlib.sha256(repr(words).encode()).hexdigest()[:24]


def _operations(
    graph: Any, prefix: str, top: Any, outer: Optional[Caller], depth: int
) -> Iterator[Tuple[Any, str, Any, Optional[Caller]]]:
    """All operations, also of functions that are called (loops, branches): with the whole name, and the one of the outer graph."""
    for op in graph.get_operations():
        name = f"{prefix}/{op.name}"
        frames = [(f.filename, f.lineno, f.name) for f in reversed(list(op.traceback or ()))] if _asks(op) else []
        called = caller(frames) if frames else None
        if called is None or (not called.file and outer is not None and outer.file):
            called = outer
        yield op, name, top if top is not None else op, called
        if depth < 20:
            for inner in _functions(op, graph):
                yield from _operations(inner, name, top if top is not None else op, called, depth + 1)


def _asks(op: Any) -> bool:
    return bool(_DRAWS.match(op.type)) or any(value.type == "func" for value in op.op_def.attr)


def _functions(op: Any, graph: Any) -> Iterator[Any]:
    for attribute in op.op_def.attr:
        if attribute.type not in ("func", "list(func)"):
            continue
        value = op.get_attr(attribute.name)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            found = graph._get_function(one.name)
            if found is not None and hasattr(found, "graph"):
                yield found.graph


def _backwards(outputs: List[Any]) -> Set[Any]:
    """The operations that these tensors depend on."""
    seen: Set[Any] = set()
    left = [t.op for t in outputs]
    while left:
        op = left.pop()
        if op not in seen:
            seen.add(op)
            left += [t.op for t in op.inputs]
    return seen


def _row(op: Any, name: str, scopes: Scopes, called: Optional[Caller]) -> Dict[str, Any]:
    module, kind, made = scopes.of(name)
    shape = op.outputs[0].shape
    rate, compared = _rate(op)
    known = called or Caller("", 0, "", "")
    return {
        "op": "bernoulli" if compared else op.type,
        "function": known.function,
        "module": module,
        "kind": kind,
        "rate": rate,
        "shape": [-1 if n is None else int(n) for n in (shape.as_list() if shape.rank is not None else [])],
        "file": known.file,
        "line": known.line,
        "where": known.where,
        "made": made,
        "via": list(known.via),
    }


def _rate(op: Any) -> Tuple[Optional[float], bool]:
    """The drop probability of uniform numbers in [0, 1) that are compared with a constant, and whether they are compared."""
    left, seen = [op.outputs[0]], 0
    low = 0.0
    while left and seen < 200:
        tensor = left.pop()
        for user in tensor.consumers():
            seen += 1
            if user.type in ("Greater", "GreaterEqual", "Less", "LessEqual"):
                first = user.inputs[0] is tensor
                bound = _number(user.inputs[1 if first else 0])
                if bound is None:
                    return None, True
                above = user.type.startswith("Greater") == first
                kept = 1 - (bound - low) if above else bound - low
                return round(_dropped(user.outputs[0], min(1.0, max(0.0, kept))), 6), True
            if user.type == "Floor":
                return (round(1 - low, 6) if 0 < low < 1 else None), True
            if user.type in ("Mul", "AddV2", "Add", "Sub"):
                other = _number(user.inputs[1] if user.inputs[0] is tensor else user.inputs[0])
                if other is None or (user.type == "Mul" and other != 1):
                    continue
                low += 0.0 if user.type == "Mul" else -other if user.type == "Sub" else other
                left.append(user.outputs[0])
            elif user.type in _SAME:
                left.append(user.outputs[0])
    return None, False


def _dropped(mask: Any, true: float) -> float:
    """The probability of dropping of a mask that is true with this one: where the other is 0, or multiplied with."""
    for user in mask.consumers():
        selects = user.type in ("SelectV2", "Select") and user.inputs[0] is mask
        if selects and _number(user.inputs[1]) is not None and _number(user.inputs[2]) is None:
            return true
        if user.type == "LogicalNot":
            return _dropped(user.outputs[0], 1 - true)
    return 1 - true


def _number(tensor: Any) -> Optional[float]:
    """A constant that is the same everywhere, or None."""
    while tensor.op.type in _SAME:
        tensor = tensor.op.inputs[0]
    if tensor.op.type in ("ZerosLike", "OnesLike"):
        return float(tensor.op.type == "OnesLike")
    if tensor.op.type == "Fill":
        tensor = tensor.op.inputs[1]
    if tensor.op.type in ("Sub", "AddV2"):  # the width of a range
        first, second = (_number(one) for one in tensor.op.inputs)
        return None if first is None or second is None else first + (second if tensor.op.type == "AddV2" else -second)
    value = tf.get_static_value(tensor)
    return float(value.ravel()[0]) if value is not None and value.size and (value == value.ravel()[0]).all() else None
