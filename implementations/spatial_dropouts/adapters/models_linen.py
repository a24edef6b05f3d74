"""Flax linen models: their modules' calls are intercepted in ``apply``."""

from __future__ import annotations

import difflib
from typing import Any, Dict, List, Optional, Sequence, Tuple

import flax.linen as nn
import jax

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import Use
from spatial_dropouts.adapters.models_jax import Watch, flags, inputs, last


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
