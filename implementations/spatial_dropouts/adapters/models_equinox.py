"""Equinox models: the calls of the modules inside are watched by identity; a model takes single samples and a key."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import equinox as eqx
import jax

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters import accepts, sites_jax
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import RATES, Use, rateless
from spatial_dropouts.adapters.models_jax import Watch, called, inputs, runs, still
from spatial_dropouts.adapters.unspecified import flags

_UNSWITCHED = "it needs a key in each call, and holds nothing that inference_mode could switch"
_CHANNELS = {"Linear": -1, "Embedding": -1, "LayerNorm": -1, "RMSNorm": -1}


def _walk(thing: Any, path: str = "") -> Iterator[Tuple[str, Any]]:
    if isinstance(thing, eqx.Module):
        if path:
            yield path, thing
        parts: Any = [(f.name, getattr(thing, f.name, None)) for f in dataclasses.fields(thing)]
    elif isinstance(thing, (list, tuple)):
        parts = enumerate(thing)
    elif isinstance(thing, dict):
        parts = thing.items()
    else:
        return
    for name, part in parts:
        yield from _walk(part, f"{path}.{name}" if path else str(name))


def _named(model: Any) -> Dict[str, Any]:
    return dict(_walk(model))


def is_model(thing: Any) -> bool:
    """A module with modules inside, or one that tells no rate."""
    return bool(_named(thing)) or rateless(thing)


def _convention(layer: Any) -> Optional[int]:
    kind = type(layer).__name__
    if kind.startswith("Conv"):
        return 0  # (channel, position): single samples, channels first
    return _CHANNELS.get(kind)


def survey(
    model: Any, sample: Any, shape: Optional[Sequence[int]], calls: int, seconds: float
) -> Tuple[List[Use], List[str]]:
    """Uses of dropout layers in calls ``model(x, key=key)`` on one sample."""
    named = {id(one): (name, one) for name, one in _named(model).items()}
    said: Optional[NoDropout] = None
    for args in inputs(model, sample, shape):
        watch = Watch((eqx.nn.Dropout,), batch=-1)

        def forward(key: Any, args: Any = args) -> Any:
            return model(*args, key=key) if accepts(type(model).__call__, "key") else model(*args)

        try:
            with called(named, watch):
                return watch.look(forward, calls, seconds, _convention), list(watch.hidden.values())
        except NoDropout as error:
            said = said or error
    assert said is not None
    raise said


def sites(model: Any, sample: Any, shape: Optional[Sequence[int]], reached: Sequence[str]) -> Dict[str, Any]:
    """Plain data for ``dropcheck.contract.sites.Sites``. ``reached``: the layers that are audited in place."""
    key = jax.random.key(20141110)
    keyed = accepts(type(model).__call__, "key")
    said = flags(type(model).__call__)
    quiet = eqx.nn.inference_mode(model)
    # it must be given a key, and nothing in it can be told that it infers
    switched = (
        not keyed or bool(said) or _optional(model, "key") or any(hasattr(m, "inference") for _, m in _all(model))
    )

    def run(one: Any, training: bool, args: Tuple[Any, ...], given: Any) -> Any:
        words = said if training else {name: not on for name, on in said.items()}
        return _pass_of_the_model(one, args, {**words, **({"key": given} if keyed else {})})

    args, _ = runs(inputs(model, sample, shape), lambda *some: run(model, True, some, key))

    def forward(watch: sites_jax.Layers, training: bool) -> Any:
        one = model if training else quiet
        named = _named(one)
        classes = list({type(layer) for layer in named.values()} | {eqx.nn.Dropout})
        with sites_jax.called(one, {id(layer): name for name, layer in named.items()}, classes, watch):
            if training or not keyed:
                return run(one, training, args, jax.random.fold_in(key, 1) if watch.again else key)
            return still(lambda: run(one, False, args, None), lambda: run(one, False, args, key))

    dropouts = {name: layer for name, layer in _named(model).items() if isinstance(layer, eqx.nn.Dropout)}
    return sites_jax.found(forward, model, lambda: dropouts, reached, "" if switched else _UNSWITCHED, library=eqx)


def _optional(model: Any, name: str) -> bool:
    """Whether a call may leave out a keyword."""
    parameter = inspect.signature(type(model).__call__).parameters.get(name)
    return parameter is None or parameter.default is not inspect.Parameter.empty


def _all(model: Any) -> Iterator[Tuple[str, Any]]:
    yield "", model
    yield from _walk(model)


def _pass_of_the_model(model: Any, args: Tuple[Any, ...], said: Dict[str, Any]) -> Any:
    return model(*args, **said)


def inside(model: Any, path: str) -> Any:
    """A factory of layers like the one at ``path``."""
    layer = _named(model).get(path)
    field = next((n for n in RATES if layer is not None and hasattr(layer, n)), None)
    if field is None:
        raise NoDropout(
            f"at {path!r} stands {'nothing' if layer is None else type(layer).__name__}, expected a dropout with a rate"
        )
    return Implementation(make=lambda rate: eqx.tree_at(lambda m: getattr(m, field), layer, rate), framework="equinox")
