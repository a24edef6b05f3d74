"""What a layer goes through in daily use: siblings, copies, a new rate, graphs of calls, other settings, two threads.

Every question here is optional in an adapter: what it has no method for is Unsupported, with the reason. ``ADAPTER`` lists
the methods; the mixins of ``spatial_dropouts.adapters.life_*`` have them for each framework.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.offers import offered
from dropcheck.worker.server import faults, threads

# method -> what it does
ADAPTER: Mapping[str, str] = {
    "sibling": "(layer, rate, dtype, way) -> another layer of the same model: it draws from the same source, not seeded again",
    "copy_ways": "() -> the ways in which a layer is copied: {way: 'apart' or 'kept'}; copies of the first kind draw from a "
    "source outside of them, those of the second may go on from where the original stands",
    "copy_of": "(layer, way, fresh) -> the copy; ``fresh`` makes another layer of the same rate",
    "holder": "(layer) -> the framework's own object, whose attributes a user sets",
    "passes": "(layer, inputs, cotangents) -> [(output, gradient, gradient once more or None)]: all forward passes come first",
    "twice": "(layer, x, cotangent, direction) -> (output, derivative of <gradient, direction> by the cotangent, or None)",
    "expanded": "(shape, dtype) -> ones of that shape in the memory of one element",
    "settings": "() -> {name: function that returns a context}",
    "ambient": "() -> {name: value} of what is set globally",
    "threaded": "() -> None where layers may be called from several threads; raises Unsupported with the reason elsewhere",
    "alike": "(rate, dtype, seed, way, x, times) -> training calls of all ranks under one seed: {'ys', 'axis' of samples, 'knows': "
    "whether the layer knows of ranks; 'apart': of replicas, the share of elements in which they differ when seeded by rank}",
    "own_keys": "(rate, dtype, seed, way, x) -> (a call that is mapped over samples, the same of each sample alone with its key); "
    "of samples that lie on several devices, (their call, the same call on one device)",
    "counts": "() -> {number of threads of the framework: function that returns a context}",
}
RATES = ("p", "rate", "drop_prob", "drop_rate", "drop_p", "dropout", "dropout_rate", "prob")
KEPT = ("keep_prob", "keep", "q", "prob")
_NEAR = 1e-9


# the reason where an adapter has no such method
_WITHOUT = {
    "copy_ways": "its adapter knows no way to copy a layer",
    "holder": "its adapter knows no attribute that holds the rate",
    "passes": "its adapter asks for one forward pass at a time",
    "twice": "its adapter does not differentiate a gradient",
    "expanded": "its arrays have no strides",
    "settings": "its adapter knows no setting that changes a training call",
    "threaded": "a layer and what it draws from belong to one thread",
    "alike": "it has no ranks that could be seeded alike",
    "own_keys": "its samples have no keys of their own",
    "counts": "its number of threads is not asked for",
}


def needed(adapter: Any, name: str) -> Callable[..., Any]:
    """The adapter's method. Raises Unsupported with the reason where it has none."""
    found = getattr(adapter, name, None)
    if found is None:
        raise Unsupported(f"{adapter.framework}: {_WITHOUT[name]}")
    method: Callable[..., Any] = found
    return method


def sibling(adapter: Any, layer: Any, rate: float, dtype: str, way: str) -> Any:
    """Another layer of the same model. Raises Unsupported where one object stands for all."""
    own = offered(adapter, "sibling")
    made = own(layer, rate, dtype, way) if own is not None else adapter.make(rate, dtype, None, way)
    if made is layer:
        raise Unsupported("one layer as it stands in a model is audited: there is no second one")
    return made


def default_seed(adapter: Any) -> Any:
    """The default of the constructor's seed; None where it has none."""
    name = adapter.implementation.seed_argument or "seed"
    if name in adapter.implementation.options:
        return adapter.implementation.options[name]
    try:
        found = inspect.signature(adapter.obj).parameters[name].default
    except (TypeError, ValueError, KeyError):
        return None
    return None if found is inspect.Parameter.empty else found


def rate_attribute(holder: Any, rate: float) -> Tuple[str, bool]:
    """(attribute that holds the rate, whether it holds 1 - rate). Raises Unsupported where no usual name does."""
    for names, keep in ((RATES, False), (KEPT, True)):
        for name in names:
            try:
                value = getattr(holder, name, None)
            except Exception:  # a property that raises holds no rate
                continue
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            if abs(value - (1 - rate if keep else rate)) < _NEAR:
                return name, keep
    raise Unsupported(f"the layer holds its rate under none of the usual names ({', '.join(RATES)}, keep_prob)")


def set_rate(adapter: Any, layer: Any, old: float, new: float) -> Dict[str, Any]:
    """Set the attribute that holds ``old`` to ``new``: its name, and what the setting raised, if anything."""
    holder = needed(adapter, "holder")(layer)
    name, keep = rate_attribute(holder, old)
    try:
        setattr(holder, name, float(1 - new if keep else new))
    except Exception as error:  # the layer's own refusal, of whatever type
        return {"attribute": name, "raised": f"{type(error).__name__}: {error}"}
    return {"attribute": name, "raised": ""}


def copies(
    adapter: Any, layer: Any, rate: float, dtype: str, seed_way: str, keep: Callable[[Any], int]
) -> List[Dict[str, Any]]:
    """The layer's copies by way: an id, or why there is none. ``stream``: see ``copy_ways`` in ADAPTER."""

    def fresh() -> Any:
        return sibling(adapter, layer, rate, dtype, seed_way)

    answers: List[Dict[str, Any]] = []
    offered(adapter, "holder")(layer)  # a function says that it is none, once
    for way, stream in needed(adapter, "copy_ways")().items():
        told: Dict[str, Any] = {"way": way, "stream": stream}
        try:
            answers.append({**told, "id": keep(adapter.copy_of(layer, way, fresh))})
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a copy that is refused says so by itself
            words = str(error).strip().splitlines() or [""]
            kind = "" if isinstance(error, Unsupported) else f"{type(error).__name__}: "
            answers.append({**told, "reason": f"{kind}{words[0]}"[:300]})
    return answers


def passes(adapter: Any, layer: Any, xs: List[Any], cotangents: List[Any], dtype: str) -> List[Dict[str, Any]]:
    """Forward passes on all inputs, then backward passes in the same order; the first one's once more at the end."""
    many = needed(adapter, "passes")
    inputs = [adapter.tensor(np.asarray(x), dtype, "contiguous") for x in xs]
    pulled = [adapter.tensor(np.asarray(c), dtype, "contiguous") for c in cotangents]
    return [_plain(adapter, *one) for one in many(layer, inputs, pulled)]


def cotangent(adapter: Any, values: Any, dtype: str, kind: str) -> Any:
    """A cotangent whose memory is of a kind: ``expanded``, or a layout of the adapter. Raises Unsupported."""
    if kind == "expanded":
        return needed(adapter, "expanded")(tuple(np.asarray(values).shape), dtype)
    if kind not in adapter.layouts():
        raise Unsupported(f"{adapter.framework} arrays have no strides")
    return adapter.tensor(np.asarray(values), dtype, kind)


def twice(adapter: Any, layer: Any, x: Any, c: Any, direction: Any, dtype: str) -> Dict[str, Any]:
    """One training call and the derivative of its gradient by the cotangent."""
    given = [adapter.tensor(np.asarray(values), dtype, "contiguous") for values in (x, c, direction)]
    y, second = needed(adapter, "twice")(layer, *given)
    return _plain(adapter, y, second, None)


def _plain(adapter: Any, y: Any, gradient: Any, again: Any) -> Dict[str, Any]:
    def copied(tensor: Any) -> Optional[Any]:
        return None if tensor is None else np.array(adapter.array(tensor), copy=True)

    return {
        "y": copied(y),
        "dtype": adapter.dtype_of(y),
        "gradient": copied(gradient),
        "gradient_dtype": None if gradient is None else adapter.dtype_of(gradient),
        "again": copied(again),
    }


def under(adapter: Any, layer: Any, x: Any, dtype: str, setting: str, times: int) -> Dict[str, Any]:
    """Training calls under a setting, and what is set globally afterwards that was not set so before."""
    context = needed(adapter, "settings")()[setting]
    ambient = offered(adapter, "ambient")
    before: Dict[str, str] = ambient()
    # each call has an input of its own: a layer that writes into its input is judged for that elsewhere
    inputs = [adapter.tensor(np.asarray(x), dtype, "contiguous") for _ in range(times)]
    outputs = []
    with adapter.recording(False), context():
        within: Dict[str, str] = ambient()
        for native in inputs:
            y = adapter.apply(layer, native, True)
            outputs.append(np.array(adapter.array(y), copy=True))
        kind = adapter.dtype_of(y)
        left = {name: [within[name], value] for name, value in ambient().items() if within[name] != value}
    left.update({name: [before[name], value] for name, value in ambient().items() if before[name] != value})
    return {"ys": outputs, "dtype": kind, "left": left}


def together(adapter: Any, layer: Any, xs: List[Any], dtype: str, times: int) -> Dict[str, Any]:
    """Training calls of one layer from as many threads at once as there are inputs: outputs by thread, or what was raised."""
    needed(adapter, "threaded")()
    inputs = [[adapter.tensor(np.asarray(x), dtype, "contiguous") for _ in range(times)] for x in xs]

    def one(number: int) -> List[Tuple[Any, str]]:
        with adapter.recording(False):  # which belongs to a thread
            found = (adapter.apply(layer, native, True) for native in inputs[number])
            return [(np.array(adapter.array(y), copy=True), adapter.dtype_of(y)) for y in found]

    answers: List[Dict[str, Any]] = []
    for found in threads.at_once(one, len(inputs), threads.files_of(layer, adapter.obj)):
        if isinstance(found, BaseException):
            if faults.ours(found, adapter):
                raise found
            words = str(found).strip().splitlines() or [""]
            answers.append({"raised": f"{type(found).__name__}: {words[0]}"[:300]})
        else:
            answers.append({"ys": [y for y, _ in found], "dtype": found[0][1]})
    return {"answers": answers}


def counted(adapter: Any, rate: float, dtype: str, seed: int, way: str, x: Any) -> Dict[str, Any]:
    """First outputs of fresh layers of one seed under each number of threads of the framework itself."""
    outputs: List[Dict[str, Any]] = []
    contexts = needed(adapter, "counts")()
    for number, context in contexts.items():
        with context():
            layer = adapter.make(rate, dtype, seed, way)
            y = adapter.apply(layer, adapter.tensor(np.asarray(x), dtype, "contiguous"), True)
            outputs.append({"threads": number, "y": np.array(adapter.array(y), copy=True)})
    return {"answers": outputs}


def alike(adapter: Any, rate: float, dtype: str, seed: int, way: str, x: Any, times: int) -> Dict[str, Any]:
    """Training calls of data-parallel ranks that are all seeded alike: outputs, put together along the samples."""
    given = adapter.tensor(np.asarray(x), dtype, "contiguous")
    found: Dict[str, Any] = needed(adapter, "alike")(rate, dtype, seed, way, given, times)
    outputs = [np.array(adapter.array(y), copy=True) for y in found["ys"]]
    told = {name: found.get(name) for name in ("axis", "knows", "apart")}
    return {"ys": outputs, "dtype": adapter.dtype_of(found["ys"][0]), **told}


def own_keys(adapter: Any, rate: float, dtype: str, seed: int, way: str, x: Any) -> Dict[str, Any]:
    """One call that is mapped over samples, and what each sample's own key draws for it alone; or one on several devices, and the
    same on one."""
    given = adapter.tensor(np.asarray(x), dtype, "contiguous")
    made = needed(adapter, "own_keys")(rate, dtype, seed, way, given)
    together, alone = (np.array(adapter.array(y), copy=True) for y in made)
    return {"together": together, "alone": alone, "dtype": adapter.dtype_of(made[0])}
