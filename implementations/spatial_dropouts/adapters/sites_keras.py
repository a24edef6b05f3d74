"""The sites of a Keras model on any backend: its draws in training and in inference, and one backward pass, layer by layer."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Callable, Collection, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from spatial_dropouts.adapters import sites_base

# entered(name, layer, made): a context around the call of a layer; name: None for one that is none of the model's
Entered = Callable[[Optional[str], Any, bool], Any]
Pass = Callable[[bool], Any]
_SEED = "the same random seed, so they use the same random numbers"


@contextlib.contextmanager
def called(base: Any, model: Any, named: Dict[str, Any], entered: Entered) -> Iterator[None]:
    """Every call of a layer of a class below ``base`` is entered; ``named``: the model's own layers."""
    made: List[Any] = []  # kept, so that no identity is used twice
    call, start = base.__call__, base.__init__
    names: Dict[int, str] = {}
    for name, layer in named.items():
        names.setdefault(id(layer), name)

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self is model:
            return call(self, *args, **kwargs)
        with entered(names.get(id(self)), self, any(one is self for one in made)):
            return call(self, *args, **kwargs)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        start(self, *args, **kwargs)
        made.append(self)

    def around(name: str, layer: Any) -> Callable[[str, Tuple[Any, ...], Callable[..., Any]], Any]:
        def entering(_: str, args: Tuple[Any, ...], forward: Callable[..., Any]) -> Any:
            with entered(name, layer, False):
                return forward(*args)

        return entering

    base.__call__, base.__init__ = __call__, __init__
    try:
        with contextlib.ExitStack() as stack:
            for layer in {id(one): one for one in named.values()}.values():  # wrappers run `call` of what they hold
                name = names[id(layer)]
                stack.enter_context(probed({name: layer}, around(name, layer)))
            yield
    finally:
        base.__call__, base.__init__ = call, start


@contextlib.contextmanager
def probed(layers: Dict[str, Any], probe: Callable[[str, Tuple[Any, ...], Callable[..., Any]], Any]) -> Iterator[None]:
    """Calls inside of these layers go through ``probe(name, args, forward)``."""

    def around(name: str, call: Any) -> Any:
        return lambda *args, **kwargs: probe(name, args, lambda *given: call(*given, **kwargs))

    before = {name: vars(layer).get("call") for name, layer in layers.items()}
    for name, layer in layers.items():
        layer.call = around(name, layer.call)
    try:
        yield
    finally:
        for name, layer in layers.items():
            if before[name] is None:
                del layer.call
            else:
                layer.call = before[name]


def _pass_of_the_model(model: Any, given: Any, training: bool) -> Any:
    return model(given, training=training)


def found(
    model: Any, given: Any, named: Dict[str, Any], dropouts: Dict[str, Any], reached: Sequence[str]
) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. The model, which is built, is left as it was.

    ``given``: its input. ``named``: its layers by name, ``dropouts``: those that are dropouts. ``reached``: the layers that are
    audited in place.
    """
    asked = {name: named[name] for name in dict.fromkeys(reached) if name in named}
    old = any(kind.__module__.startswith("tf_keras.") for kind in type(model).__mro__)
    library = importlib.import_module("tf_keras" if old else "keras")

    def run(training: bool, entered: Entered, again: bool = False) -> Any:
        with called(library.layers.Layer, model, named, entered), _unmoved(library, model):
            if again:  # a second pass: seeds have moved on
                _pass_of_the_model(model, given, training)
            return _pass_of_the_model(model, given, training)

    backend = "tensorflow" if old else library.config.backend()
    how = {"jax": _on_jax, "torch": _on_torch, "tensorflow": _on_tensorflow}.get(backend)
    if how is None:
        raise NotImplementedError(f"the draws of Keras on {backend} are not recorded")
    answer = how(model, run, asked, dropouts, reached)
    return {**answer, "version": f"{library.__version__} on {backend} {answer['version']}"}


@contextlib.contextmanager
def _unmoved(library: Any, model: Any) -> Iterator[None]:
    """What a pass assigns to variables (seeds, batch statistics) is thrown away."""
    if hasattr(library, "StatelessScope"):
        with library.StatelessScope():
            yield
        return
    yield  # Keras 2 is traced here, and its variables are restored after the backward pass


def _on_jax(model: Any, run: Any, asked: Dict[str, Any], dropouts: Dict[str, Any], reached: Any) -> Dict[str, Any]:
    import keras
    from keras.src.utils import jax_utils

    from spatial_dropouts.adapters import sites_jax

    keras.random.uniform((1,))  # the global seed generator exists
    tracing = jax_utils.is_in_jax_tracing_scope

    def forward(watch: sites_jax.Layers, training: bool) -> Any:
        # functions without a seed generator refuse to be traced; their draws are wanted, their numbers are not
        jax_utils.is_in_jax_tracing_scope = lambda x=None: False if x is None else tracing(x)
        try:
            with probed({name: asked[name] for name in asked if name in watch.asked}, watch.probed):
                return run(training, watch.marked, watch.again)
        finally:
            jax_utils.is_in_jax_tracing_scope = tracing

    answer = sites_jax.found(forward, model, lambda: dropouts, reached)
    for one in answer["shared"]:  # users of Keras give seeds, not keys
        one["how"] = one["how"].replace("random key", "random seed")
    return answer


def _on_torch(model: Any, run: Any, asked: Dict[str, Any], dropouts: Dict[str, Any], reached: Any) -> Dict[str, Any]:
    import torch

    from spatial_dropouts.adapters import draws_keras

    def drawn(
        training: bool, turned: Collection[int] = (), again: bool = False
    ) -> Tuple[List[Dict[str, Any]], List[Any], List[str]]:
        draws = draws_keras.Draws(model, turned)
        torch.manual_seed(20141110)
        made: List[Any] = []

        @contextlib.contextmanager
        def entered(name: Optional[str], layer: Any, made: bool) -> Iterator[None]:
            draws.modules.append(layer)
            draws.paths.append(draws.paths[-1] if name is None else name)
            draws.made.append(made)
            try:
                yield
            finally:
                draws.modules.pop()
                draws.paths.pop()
                draws.made.pop()

        with torch.no_grad():
            found = draws_keras.watched(draws, lambda: made.append(run(training, entered, again)))
        return found, [_array(t) for t in _leaves(made)], draws.states

    def inferred() -> List[Dict[str, Any]]:
        """Draws in inference that the outputs depend on: recurrent layers draw masks there, too, and use none."""
        rows, outputs, _ = drawn(False)

        def use(some: Collection[int]) -> bool:
            others = drawn(False, some)[1]
            return any(a.shape != b.shape or not np.array_equal(a, b, equal_nan=True) for a, b in zip(outputs, others))

        if not rows or not use(
            range(len(rows))
        ):  # all at once: mostly nothing uses them, and a pass is saved for each place
            return []
        groups: Dict[Any, List[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault((row["module"], row["kind"], row["file"], row["line"], row["rate"]), []).append(number)
        used: List[int] = []
        for some in groups.values():
            if len(groups) == 1 or use(some):
                used += some
        return [rows[number] for number in sorted(used)]

    seen: Dict[Tuple[str, int], Any] = {}
    uses: Dict[str, int] = {}

    def probe(name: str, args: Tuple[Any, ...], forward: Callable[..., Any]) -> Any:
        x = args[0]
        if not (torch.is_tensor(x) and x.is_floating_point()):
            return forward(*args)
        x = x.clone() if x.requires_grad else x.detach().clone().requires_grad_(True)
        y = forward(x, *args[1:])
        use = uses[name] = uses.get(name, -1) + 1
        if torch.is_tensor(y) and y.shape == x.shape and y.requires_grad:
            x.retain_grad()
            y.retain_grad()
            seen[name, use] = (x, y)
        return y

    def backward() -> List[Dict[str, Any]]:
        with torch.enable_grad(), probed(asked, probe):
            some = [t for t in _leaves(run(True, _unmarked)) if t.is_floating_point() and t.requires_grad]
            if not some:
                raise TypeError("no output of the model can be differentiated")
            kept = [(p, p.grad) for p in model.parameters()]
            sum((t * torch.randn_like(t)).sum() for t in some).backward()
            for parameter, gradient in kept:
                parameter.grad = gradient
        zero = torch.zeros(())
        return [
            sites_base.judged(
                *key,
                *(_array(t) for t in (x, y, zero if x.grad is None else x.grad, zero if y.grad is None else y.grad)),
            )
            for key, (x, y) in seen.items()
        ]

    with torch.random.fork_rng(devices=[]):
        (training, _, states), inference = drawn(True), inferred()
        again = drawn(True, again=True)[2] if sites_base.to_repeat(training, reached) else []
        rows, unasked = _backward(backward, asked, seen)
    shared = sites_base.shared(training, states, sites_base.last(again, states), reached, _SEED)
    return _answer(torch.__version__, training, inference, rows, unasked, dropouts, reached, shared)


def _array(tensor: Any) -> Any:
    return tensor.detach().double().cpu().numpy()


def _on_tensorflow(
    model: Any, run: Any, asked: Dict[str, Any], dropouts: Dict[str, Any], reached: Any
) -> Dict[str, Any]:
    import tensorflow as tf

    from spatial_dropouts.adapters import draws_tensorflow

    def drawn(training: bool, again: bool = False) -> Any:
        scopes = draws_tensorflow.Scopes(type(model).__name__)
        paths = [""]

        @contextlib.contextmanager
        def entered(name: Optional[str], layer: Any, made: bool) -> Iterator[None]:
            paths.append(paths[-1] if name is None else name)
            try:
                with scopes.mark(paths[-1], type(layer).__name__, made):
                    yield
            finally:
                paths.pop()

        return draws_tensorflow.traced(lambda: run(training, entered, again), scopes)

    seen: Dict[Tuple[str, int], Any] = {}
    uses: Dict[str, int] = {}
    tape = tf.GradientTape()

    def probe(name: str, args: Tuple[Any, ...], forward: Callable[..., Any]) -> Any:
        x = args[0]
        if not (hasattr(x, "dtype") and x.dtype.is_floating) or not tf.executing_eagerly():
            return forward(*args)
        x = tf.identity(x)
        tape.watch(x)
        y = forward(x, *args[1:])
        use = uses[name] = uses.get(name, -1) + 1
        if getattr(y, "shape", None) == x.shape:
            seen[name, use] = (x, y)
        return y

    def backward() -> List[Dict[str, Any]]:
        with tape, probed(asked, probe):
            some = [t for t in _leaves(run(True, _unmarked)) if t.dtype.is_floating]
            if not some:
                raise TypeError("no output of the model can be differentiated")
            total = tf.add_n([tf.reduce_sum(tf.cast(t, "float32") * _weights(t.shape)) for t in some])
        flat = [t for pair in seen.values() for t in pair]
        gradients = iter(tape.gradient(total, flat, unconnected_gradients=tf.UnconnectedGradients.ZERO))
        return [
            sites_base.judged(*key, *map(_number, (x, y, next(gradients), next(gradients))))
            for key, (x, y) in seen.items()
        ]

    (training, _, states), (_, inference, _) = drawn(True), drawn(False)
    again = drawn(True, again=True)[2] if sites_base.to_repeat(training, reached) else []
    old = not hasattr(model, "stateless_call")
    weights = model.get_weights() if old else []
    rows, unasked = _backward(backward, asked, seen)
    if old:
        model.set_weights(weights)
    shared = sites_base.shared(training, states, sites_base.last(again, states), reached, _SEED)
    return _answer(tf.__version__, training, inference, rows, unasked, dropouts, reached, shared)


def _weights(shape: Any) -> Any:
    return np.random.default_rng(7).standard_normal(tuple(shape)).astype("float32")


def _number(tensor: Any) -> Any:
    import tensorflow as tf

    return tf.cast(tensor, "float32").numpy()


@contextlib.contextmanager
def _unmarked(name: Optional[str], layer: Any, made: bool) -> Iterator[None]:
    yield


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _leaves(one)
    elif hasattr(value, "dtype"):
        yield value


def _backward(backward: Any, asked: Dict[str, Any], seen: Dict[Any, Any]) -> Tuple[List[Dict[str, Any]], str]:
    """The rows of a backward pass, and why there was none."""
    if not asked:
        return [], "no layer of the model is audited in place: a backward pass has nothing to show"
    try:
        rows = backward()
    except Exception as error:  # a model that is used in inference alone, or differentiated by code of its own
        return [], sites_base.raised(error)
    why = "it is called where its gradient cannot be seen: inside a loop of the graph, or on numbers without a gradient"
    return rows + [sites_base.not_asked(name, 0, why) for name in asked if not any(key[0] == name for key in seen)], ""


def _answer(
    version: Any,
    training: Any,
    inference: Any,
    backward: Any,
    unasked: str,
    dropouts: Dict[str, Any],
    reached: Any,
    shared: List[Dict[str, Any]],
) -> Dict[str, Any]:
    return {
        "version": str(version),
        "training": training,
        "inference": inference,
        "unreached": sites_base.unreached(dropouts.items(), training, reached),
        "backward": backward,
        "unasked": unasked,
        "shared": shared,
    }
