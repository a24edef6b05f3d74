"""The sites of a model of JAX: its traced draws in training and in inference, and one backward pass with a probe at each layer."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import jax
import jax.numpy as jnp
import numpy as np

from spatial_dropouts.adapters import draws_jax, sites_base

_CALL = "__call__"
_KEY = "the same random key, so they use the same random numbers"
Key = Tuple[str, int]
# forward(watch, training): one pass of the model, whose layers call ``watch``; the same draws at each call
Forward = Callable[["Layers", bool], Any]


class Layers:
    """What stands around the calls of a model's layers: it marks their operations, and puts probes at those that are asked.

    ``asked``: the layers whose gradients are wanted. ``probes``: what is added to their inputs and outputs, zeros; None: nothing.
    ``again``: whether a second pass is wanted: with another key, or after a first one where the model keeps its keys itself.
    """

    def __init__(self, asked: Sequence[str] = (), probes: Optional[Dict[Key, Any]] = None, again: bool = False) -> None:
        self.asked, self.probes, self.again = frozenset(asked), probes, again
        self.stack: List[str] = [""]
        self.uses: Dict[str, int] = {}
        self.shapes: Dict[Key, Any] = {}
        self.hidden: Set[Key] = set()
        self.seen: Dict[Key, Tuple[Any, Any]] = {}

    def call(
        self, name: Optional[str], layer: Any, args: Tuple[Any, ...], forward: Callable[..., Any], made: bool = False
    ) -> Any:
        """One call of a layer. ``name``: None for one that is none of the model's, or a copy of it.

        ``forward(*args)`` runs it. ``made``: whether it was made during the pass.
        """
        with self.marked(name, layer, made):
            return forward(*args) if name not in self.asked else self.probed(name, args, forward)

    @contextlib.contextmanager
    def marked(self, name: Optional[str], layer: Any, made: bool = False) -> Iterator[None]:
        """What is traced inside belongs to this layer; see ``call``."""
        path = self.stack[-1] if name is None else name
        self.stack.append(path)
        try:
            with draws_jax.mark(path, type(layer).__name__, made):
                yield
        finally:
            self.stack.pop()

    def probed(self, name: str, args: Tuple[Any, ...], forward: Callable[..., Any]) -> Any:
        """One call of a layer that is asked, with probes at its input and its output."""
        key = (name, self.uses.get(name, 0))
        self.uses[name] = key[1] + 1
        x: Any = args[0] if args else None
        if not (hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)):
            self.hidden.add(key)
            return forward(*args)
        if self.probes is None:  # the first pass: what is no tracer here can be given a probe
            y = forward(*args)
            if isinstance(x, jax.core.Tracer) or getattr(y, "shape", None) != x.shape:
                self.hidden.add(key)
            else:
                self.shapes[key] = (x, y)
            return y
        if key not in self.probes:
            return forward(*args)
        into, out = self.probes[key]
        y = forward(x + into.astype(x.dtype), *args[1:]) + out.astype(x.dtype)
        self.seen[key] = (x, y)
        return y


def found(
    forward: Forward,
    model: Any,
    named: Callable[[], Dict[str, Any]],
    reached: Sequence[str],
    inferred: str = "",
    library: Any = None,
) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. Three traces, a forward pass and a backward pass.

    ``named``: the dropout layers of the model by name, after a forward pass. ``inferred``: why there is no pass in inference.
    ``library``: on JAX, whose version is said.
    """
    kind = type(model).__name__
    training, _ = draws_jax.traced(lambda: forward(Layers(), True), kind=kind)
    inference: List[Dict[str, Any]] = []
    if not inferred:
        draws, used = draws_jax.traced(lambda: forward(Layers(), False), kind=kind)
        inference = draws.found(used)  # drawn and thrown away, by where(training, ...), is not dropped
    drawn = training.found()
    again: List[str] = []
    if sites_base.to_repeat(training.rows, reached):
        again = draws_jax.traced(lambda: forward(Layers(again=True), True), kind=kind)[0].keys
    backward, unasked = _backward(forward, reached)
    return {
        "version": f"{library.__version__} on jax {jax.__version__}" if library is not None else str(jax.__version__),
        "training": drawn,
        "inference": inference,
        "unreached": sites_base.unreached(named().items(), drawn, reached),
        "backward": backward,
        "unasked": unasked,
        "uninferred": inferred,
        "shared": sites_base.shared(training.rows, training.keys, sites_base.last(again, training.keys), reached, _KEY),
    }


def _backward(forward: Forward, reached: Sequence[str]) -> Tuple[List[Dict[str, Any]], str]:
    """What one backward pass shows of every layer, and why there was none."""
    names = list(dict.fromkeys(reached))
    if not names:
        return [], "no layer of the model is audited in place: a backward pass has nothing to show"
    first = Layers(names)
    try:
        forward(first, True)
        probes = {key: (jnp.zeros(x.shape, x.dtype),) * 2 for key, (x, _) in first.shapes.items()}

        def loss(given: Dict[Key, Any]) -> Tuple[Any, Any]:
            watch = Layers(names, given)
            some = [t for t in jax.tree_util.tree_leaves(forward(watch, True)) if _floating(t)]
            if not some:
                raise TypeError("no output of the model can be differentiated")
            keys = jax.random.split(jax.random.key(7), len(some))
            return sum(jnp.sum(t * jax.random.normal(k, t.shape, t.dtype)) for t, k in zip(some, keys)), watch.seen

        gradients, seen = jax.grad(loss, has_aux=True)(probes) if probes else ({}, {})
    except Exception as error:  # a model that is used in inference alone, or differentiated by code of its own
        return [], sites_base.raised(error)
    rows = [sites_base.judged(*key, *(np.asarray(t, "float64") for t in (*seen[key], *gradients[key]))) for key in seen]
    why = "it is called inside a transformation (jit, vmap, scan), where its gradient cannot be seen"
    return rows + [sites_base.not_asked(*key, why) for key in sorted(first.hidden)], ""


def _floating(value: Any) -> bool:
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)


@contextlib.contextmanager
def called(
    root: Any, names: Dict[int, str], classes: Sequence[type], watch: Layers, fresh: Sequence[type] = ()
) -> Iterator[None]:
    """Calls of objects of these classes go through the watch: their ``__call__`` is wrapped.

    ``names``: of the model's own layers by identity. Copies of them, as transformations make, have none. ``fresh``: classes
    whose objects are known as made during the pass.
    """
    made: List[Any] = []  # kept, so that no identity is used twice
    starts = {cls: cls.__init__ for cls in fresh}  # type: ignore[misc]
    calls = {cls: cls.__dict__.get(_CALL) for cls in classes}

    def wrapped(original: Any) -> Any:
        def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self is root:
                return original(self, *args, **kwargs)
            new = any(one is self for one in made)
            return watch.call(names.get(id(self)), self, args, lambda *given: original(self, *given, **kwargs), new)

        return __call__

    def noted(start: Any) -> Any:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            start(self, *args, **kwargs)
            made.append(self)

        return __init__

    try:
        for cls, start in starts.items():
            cls.__init__ = noted(start)  # type: ignore[misc]
        for cls in calls:
            if callable(getattr(cls, _CALL, None)):
                setattr(cls, _CALL, wrapped(getattr(cls, _CALL)))
        yield
    finally:
        for cls, start in starts.items():
            cls.__init__ = start  # type: ignore[misc]
        for cls, original in calls.items():
            if original is None:
                with contextlib.suppress(AttributeError):
                    delattr(cls, _CALL)
            else:
                type.__setattr__(cls, _CALL, original)
