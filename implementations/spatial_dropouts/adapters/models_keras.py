"""Keras models, also of Keras 2: dropout layers at any depth, fed by wrapped calls in forward passes, with their neighbours."""

from __future__ import annotations

import contextlib
import difflib
import importlib
from typing import Any, ContextManager, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from spatial_dropouts.adapters import sites_keras
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import STILL, Use, expected_of, neighbours, rate_of, rateless, timed, wanted

_LAST = ("Embedding", "Dense", "EinsumDense", "LSTM", "GRU", "SimpleRNN", "LayerNormalization", "MultiHeadAttention")


class _Keras:
    """What the two Keras name otherwise. ``layers``: the library's own; ``cast``, ``numpy``: of a tensor."""

    def __init__(self, model: Any) -> None:
        old = any(kind.__module__.startswith("tf_keras.") for kind in type(model).__mro__)
        self.layers = importlib.import_module("tf_keras.layers" if old else "keras.layers")
        if old:
            import tensorflow as tf

            self.cast, self.numpy = (lambda x, dtype: tf.cast(tf.convert_to_tensor(x), dtype)), (lambda x: x.numpy())
        else:
            from keras import ops

            self.cast = lambda x, dtype: ops.cast(ops.convert_to_tensor(x), dtype)
            self.numpy = ops.convert_to_numpy


def is_model(thing: Any) -> bool:
    """A layer with layers inside, or one that tells no rate; any other is a layer."""
    return bool(_children(thing)) or rateless(thing)


def _children(layer: Any) -> List[Any]:
    return [one for one in layer._flatten_layers(include_self=False, recursive=False) if not _internal(one)]


def _internal(layer: Any) -> bool:
    return type(layer).__name__ in ("InputLayer", "SeedGenerator")


def _named(model: Any) -> Iterator[Tuple[str, Any]]:
    """Layers at every depth as (``block.drop``, layer), by their names."""
    for layer in _children(model):
        yield layer.name, layer
        for name, inner in _named(layer):
            yield f"{layer.name}.{name}", inner


def inside(model: Any, path: str) -> Any:
    found = dict(_named(model))
    if path not in found:
        near = difflib.get_close_matches(path, list(found), 1, 0.0)
        raise NoDropout(f"the model has no layer {path!r}" + (f"; the nearest is {near[0]!r}" if near else ""))
    return found[path]


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of dropout layers in forward passes in training, and what cannot be seen."""
    given, how = _input(model, sample, shape)
    with _loops(model):
        return _surveyed(model, given, how, calls, seconds)


def _loops(model: Any) -> ContextManager[None]:
    """Loops on JAX are compiled once in all passes of a look, not once a pass."""
    if not any(kind.__module__.startswith("keras.src.backend.jax") for kind in type(model).__mro__):
        return contextlib.nullcontext()
    found: ContextManager[None] = importlib.import_module("spatial_dropouts.adapters.jax_loops").alike()
    return found


def _surveyed(model: Any, given: Any, how: str, calls: int, seconds: float) -> Tuple[List[Use], List[str]]:
    try:
        model(given, training=True)  # builds what is not built
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
        raise wanted(f"the model {model.name} does not run on its input", said) from error
    leaves = [(n, layer) for n, layer in _named(model) if not _children(layer)]
    own = _Keras(model)
    watch = _Watch(leaves, own)
    watch.run(lambda: model(given, training=True), 1, seconds)
    watch.tracing, watch.swapping = False, True
    watch.run(lambda: model(given, training=True), calls, seconds)
    watch.still = True
    with contextlib.suppress(Exception):  # a model that runs in training only: inference is not looked at
        watch.run(lambda: model(given, training=False), STILL, seconds)
    uses = [u for u in watch.uses.values() if u.found_by in ("class", "name", "rate") or _drops(u)]
    for use in uses:
        neighbours(use, watch.trace, _convention)
    notes = [how] if how else []
    reached = {use.name for use in uses}
    for name, layer in leaves:
        if isinstance(layer, own.layers.Dropout) and name not in reached:
            notes.append(f"{name} ({type(layer).__name__}) is not called in this forward pass")
    for name, layer in _named(model):
        inner = [
            w for w in ("dropout", "recurrent_dropout") if getattr(layer, w, 0) and isinstance(getattr(layer, w), float)
        ]
        if inner and not isinstance(layer, own.layers.Dropout) and not type(layer).__name__.endswith("Cell"):
            notes.append(
                f"{name} ({type(layer).__name__}) drops inside its own function ({', '.join(inner)}): not seen"
            )
    return uses, notes


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. ``reached``: the layers that are audited in place."""
    given, _ = _input(model, sample, shape)
    model(given, training=False)  # builds what is not built
    own = _Keras(model)
    named = dict(_named(model))
    dropouts = {
        n: layer for n, layer in named.items() if isinstance(layer, (own.layers.Dropout, own.layers.AlphaDropout))
    }
    with _loops(model):
        return sites_keras.found(model, given, named, dropouts, reached)


def _input(model: Any, sample: Any, shape: Optional[Sequence[int]]) -> Tuple[Any, str]:
    """An input for one forward pass, and a remark where it was made."""
    if sample is not None:
        return sample, ""
    if shape is not None:
        words = any(type(layer).__name__ == "Embedding" for _, layer in _named(model))
        return _values(tuple(shape), "int32" if words else "float32", model), ""
    spec = getattr(model, "inputs", None)
    if not spec:
        raise wanted(f"{model.name} is a model without a sample input", "it has not been built on an input")
    made = []
    for one in spec:
        # sizes of their own for axes that are free
        free = iter((4, 11, 13, 9, 7))
        sizes = tuple(next(free) if s is None else int(s) for s in one.shape)
        made.append(_values(sizes, _dtype(one), model))
    how = "input made by its specification: " + ", ".join(str(tuple(m.shape)) for m in made)
    return (made[0] if len(made) == 1 else made), how


def _dtype(x: Any) -> str:
    """The name of a dtype, which TensorFlow has as an object."""
    return str(getattr(x.dtype, "name", x.dtype))


def _values(sizes: Tuple[int, ...], dtype: str, model: Any) -> Any:
    limits = [layer.input_dim for _, layer in _named(model) if type(layer).__name__ == "Embedding"]
    rng = np.random.default_rng(5)
    if limits:  # words, whatever dtype an Input was given
        return rng.integers(0, min(limits), sizes).astype("int32")
    return rng.standard_normal(sizes).astype("float32" if "int" in dtype else dtype)


class _Watch:
    """Wraps the call of every leaf: the order of execution, and the outputs of layers that may drop."""

    def __init__(self, leaves: List[Tuple[str, Any]], own: _Keras) -> None:
        self.leaves, self.own = leaves, own
        self.uses: Dict[Tuple[str, int], Use] = {}
        self.seen: Dict[str, int] = {}
        self.trace: List[Tuple[str, Any, Any, Any]] = []
        self.tracing, self.swapping, self.still = True, False, False

    def run(self, forward: Any, calls: int, seconds: float) -> None:
        for name, layer in self.leaves:
            layer.call = self._wrapped(name, layer, layer.call)

        def once() -> None:
            self.seen.clear()
            forward()

        try:
            timed(once, calls, seconds)
        finally:
            for _, layer in self.leaves:
                del layer.call

    def _wrapped(self, name: str, layer: Any, call: Any) -> Any:
        def watched(x: Any, *args: Any, **kwargs: Any) -> Any:
            if self.tracing:
                y = call(x, *args, **kwargs)
                if hasattr(x, "shape") and hasattr(y, "shape"):
                    self.trace.append((name, layer, x, y))
                return y
            use = self._use(name, layer, x)
            if use is None:
                return call(x, *args, **kwargs)
            y = call(self.own.cast(use.x.astype("float32"), x.dtype), *args, **kwargs)
            if hasattr(y, "shape") and tuple(y.shape) == use.shape:
                use.take(self.own.numpy(self.own.cast(y, "float32")), self.still)
            return y

        return watched

    def _use(self, name: str, layer: Any, x: Any) -> Optional[Use]:
        if not (hasattr(x, "shape") and "float" in str(x.dtype)) or isinstance(layer, self.own.layers.Embedding):
            return None
        key = (name, self.seen.get(name, 0))
        self.seen[name] = key[1] + 1
        if key not in self.uses:
            kind = type(layer).__name__
            by = "behaviour"
            if isinstance(layer, (self.own.layers.Dropout, self.own.layers.AlphaDropout)):
                by = "class"
            elif "Gaussian" in kind:
                by = "behaviour"
            elif "drop" in kind.lower():
                by = "name"
            elif rate_of(layer) is not None and not layer.weights:
                by = "rate"
            use = self.uses[key] = Use(name, kind, by, rate_of(layer), x.shape)
            use.use = key[1]
            use.plain = "Alpha" not in kind
            use.expected = expected_of(kind)
            noise = getattr(layer, "noise_shape", None)
            if noise is not None:
                use.noise = [i for i, n in enumerate(noise) if n != 1]
            if use.expected == "batch channel":
                first = getattr(layer, "data_format", "channels_last") == "channels_first"
                use.own_channel = 1 if first else len(use.shape) - 1
        use = self.uses[key]
        return use if use.shape == tuple(x.shape) else None


def _drops(use: Use) -> bool:
    if len(use.ys) < 2:
        return False
    zero = np.stack(use.ys) == 0
    return bool((zero.any(axis=0) & ~zero.all(axis=0)).any())


def _convention(layer: Any) -> Optional[int]:
    """Where a layer puts channels: -1 last, 1 second; None for one that does not say."""
    kind = type(layer).__name__
    if kind in _LAST:
        return -1
    if kind == "BatchNormalization":
        return int(layer.axis) if isinstance(layer.axis, int) else -1
    if "Conv" in kind:
        return 1 if getattr(layer, "data_format", "") == "channels_first" else -1
    return None
