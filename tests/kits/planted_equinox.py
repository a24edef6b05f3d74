"""Equinox models with a dropout that is planted in the wrong way, each beside a twin that is right."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

INPUT = jnp.linspace(-1.0, 1.0, 8)


class Block(eqx.Module):
    """Two linear layers around ``inner``."""

    a: Any
    drop: Any
    b: Any

    def __init__(self) -> None:
        first, second = jax.random.split(jax.random.key(0))
        self.a, self.b = eqx.nn.Linear(8, 64, key=first), eqx.nn.Linear(64, 4, key=second)
        self.drop = eqx.nn.Dropout(0.3)

    def inner(self, x: Any, key: Any) -> Any:
        return self.drop(x, key=key)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        return self.b(self.inner(jnp.tanh(self.a(x)), key))


def dropped(key: Any, x: Any, rate: float) -> Any:
    return x * jax.random.bernoulli(key, 1 - rate, x.shape) / (1 - rate)


class FunctionAlways(Block):
    def inner(self, x: Any, key: Any) -> Any:
        first, second = jax.random.split(key)
        return dropped(first, self.drop(x, key=second), 0.2)


class FunctionWithKey(Block):
    """In inference it is called without a key."""

    def inner(self, x: Any, key: Any) -> Any:
        return x if key is None else dropped(key, x, 0.2)


class MadeInCall(Block):
    def inner(self, x: Any, key: Any) -> Any:
        return eqx.nn.Dropout(0.2)(x, key=key)


class NeverCalled(Block):
    def inner(self, x: Any, key: Any) -> Any:
        return x


class WrongFlag(Block):
    def inner(self, x: Any, key: Any) -> Any:
        return self.drop(x, key=key, inference=False)


class InVmap(Block):
    def inner(self, x: Any, key: Any) -> Any:
        keys = None if key is None else jax.random.split(key, 8)
        rows = x.reshape(8, 8)
        return (jax.vmap(self.drop)(rows, key=keys) if key is not None else jax.vmap(self.drop)(rows)).ravel()


class OneKey(Block):
    """Its own dropout and a function use one key."""

    def inner(self, x: Any, key: Any) -> Any:
        if key is None:
            return self.drop(x)
        first, second = self.keys(key)
        return dropped(second, jnp.tanh(self.drop(x, key=first)), 0.3)

    def keys(self, key: Any) -> Any:
        return key, key


class TwoKeys(OneKey):
    def keys(self, key: Any) -> Any:
        return jax.random.split(key)
