"""Equinox models: the calls of the modules inside are watched by identity; a model takes single samples and a key."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import equinox as eqx

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters import accepts
from spatial_dropouts.adapters.loading import NoDropout
from spatial_dropouts.adapters.models_base import RATES, Use
from spatial_dropouts.adapters.models_jax import Watch, called, inputs

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
    """A module with modules inside."""
    return bool(_named(thing))


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


def inside(model: Any, path: str) -> Any:
    """A factory of layers like the one at ``path``."""
    layer = _named(model).get(path)
    field = next((n for n in RATES if layer is not None and hasattr(layer, n)), None)
    if field is None:
        raise NoDropout(
            f"at {path!r} stands {'nothing' if layer is None else type(layer).__name__}, expected a dropout with a rate"
        )
    return Implementation(make=lambda rate: eqx.tree_at(lambda m: getattr(m, field), layer, rate), framework="equinox")
