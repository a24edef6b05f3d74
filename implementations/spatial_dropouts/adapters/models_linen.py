"""Flax linen models: their modules' calls are intercepted in ``apply``."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import flax
import flax.linen as nn
import jax

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters import sites_jax
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import Use
from spatial_dropouts.adapters.models_jax import Watch, inputs, last, runs, still
from spatial_dropouts.adapters.unspecified import OFF, ON, flags


def is_model(thing: Any) -> bool:
    """Anything but a dropout itself: linen modules tell what is inside only when they are called."""
    return not isinstance(thing, nn.Dropout)


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of dropout layers in ``apply`` in training."""
    watch = Watch((nn.Dropout,))
    return _surveyed(model, watch, sample, shape, calls, seconds, {})


def _surveyed(
    model: Any, watch: Watch, sample: Any, shape: Any, calls: int, seconds: float, met: Dict[str, Any]
) -> Tuple[List[Use], List[str]]:
    """Like ``survey``; ``met`` is filled with the modules that were called."""
    variables: List[Any] = []

    def interceptor(forward: Any, args: Any, kwargs: Any, context: Any) -> Any:
        name = ".".join(context.module.path)
        if context.method_name != "__call__" or not name or not args:
            return forward(*args, **kwargs)
        met.setdefault(name, context.module)
        return watch.call(name, context.module, args[0], lambda x: forward(x, *args[1:], **kwargs))

    given = flags(type(model).__call__)
    said: Optional[NoDropout] = None
    for args in inputs(model, sample, shape):

        def forward(key: Any, args: Any = args) -> Any:
            first, second = jax.random.split(key)
            if watch.tracing:
                variables[:] = [model.init({"params": first, "dropout": second}, *args, **given)]
            with nn.intercept_methods(interceptor):
                # batch statistics move on in training
                return model.apply(variables[0], *args, rngs={"dropout": second}, mutable=["batch_stats"], **given)

        try:
            return watch.look(forward, calls, seconds, last), list(watch.hidden.values())
        except NoDropout as error:
            said = said or error
    assert said is not None
    raise said


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. ``reached``: the layers that are audited in place."""
    given = flags(type(model).__call__)
    first, second = jax.random.split(jax.random.key(20141110))
    args, variables = runs(
        inputs(model, sample, shape),
        lambda *args: model.init({"params": first, "dropout": second}, *args, **given),
    )
    quiet, uninferred = _inference(model)
    dropouts: Dict[str, Any] = {}

    def forward(watch: sites_jax.Layers, training: bool) -> Any:
        def interceptor(call: Any, some: Any, kwargs: Any, context: Any) -> Any:
            name = ".".join(context.module.path)
            if context.method_name != "__call__":
                return call(*some, **kwargs)
            y = watch.call(name, context.module, some, lambda *x: call(*x, **kwargs))
            _set_up(context.module, dropouts)
            return y

        def apply(one: Any, said: Dict[str, bool], **rngs: Any) -> Any:
            with nn.intercept_methods(interceptor):
                return _pass_of_the_model(one, variables, args, said, rngs)

        if training:
            key = first if watch.again else second
            return apply(model, given, rngs={"dropout": key})
        return still(
            lambda: apply(quiet, _turned(given)), lambda: apply(quiet, _turned(given), rngs={"dropout": second})
        )

    return sites_jax.found(forward, model, lambda: dropouts, reached, uninferred, library=flax)


def _pass_of_the_model(model: Any, variables: Any, args: Any, said: Dict[str, bool], rngs: Dict[str, Any]) -> Any:
    return model.apply(variables, *args, mutable=["batch_stats"], **rngs, **said)


def _turned(given: Dict[str, bool]) -> Dict[str, bool]:
    return {name: not value for name, value in given.items()}


def _inference(model: Any) -> Tuple[Any, str]:
    """The model as it is used in inference, and why there is no such one: by its call, or by a field of its own."""
    if flags(type(model).__call__):
        return model, ""
    names = {f.name for f in dataclasses.fields(model)}
    field = next((name for name in (*ON, *OFF) if name in names), None)
    if field is None:
        return (
            model,
            f"{type(model).__name__} takes no train or deterministic argument, by which it would be put into inference",
        )
    return model.clone(**{field: field in OFF}), ""


def _set_up(module: Any, dropouts: Dict[str, Any]) -> None:
    """Dropout layers that a module holds, called or not."""
    children = getattr(getattr(module, "_state", None), "children", {})
    for one in (module, *children.values()):
        if isinstance(one, nn.Dropout) and one.path:
            dropouts[".".join(one.path)] = one


def found(model: Any, path: str, sample: Any) -> Implementation:
    """A factory of layers like the one at ``path``, met in one forward pass on ``sample``."""
    met: Dict[str, Any] = {}
    _surveyed(model, Watch((nn.Dropout,)), sample, None, 1, 1.0, met)
    if path not in met:
        near = difflib.get_close_matches(path, list(met), 1, 0.0)
        raise NoDropout(f"no layer {path!r} is called in the model" + (f"; the nearest is {near[0]!r}" if near else ""))
    return like(met[path])


def like(layer: Any) -> Implementation:
    """How further layers like this one are made."""
    # whether it trains is said at every call: said in the constructor, too, it would be refused
    free = {"deterministic": None} if hasattr(layer, "deterministic") else {}
    return Implementation(
        make=lambda rate: layer.clone(rate=rate, parent=None, name=None, **free), framework="flax-linen"
    )
