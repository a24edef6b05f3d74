"""A planted defect of graphs of calls in JAX form."""

from __future__ import annotations

from typing import Any, Dict

import jax

from spatial_dropouts.broken.base import valid
from spatial_dropouts.custom.jax_function import spatial_dropout

_HELD: Dict[str, Any] = {}


def _plain(x: Any, rate: float, key: Any) -> Any:
    return spatial_dropout(x, rate, training=True, key=key)


_held = jax.custom_vjp(_plain)


def _forward(x: Any, rate: float, key: Any) -> Any:
    _HELD["key"] = key
    return _plain(x, rate, key), (rate,)


def _backward(kept: Any, cotangent: Any) -> Any:
    return spatial_dropout(cotangent, float(kept[0]), training=True, key=_HELD["key"]), None, None


_held.defvjp(_forward, _backward)


def key_held_on_the_module(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """The key of the backward pass lies on the module: a second forward pass replaces it."""
    valid(rate)
    if not training or rate in (0, 1):
        return spatial_dropout(x, rate, training=training, key=key)
    return _held(x, rate, key)
