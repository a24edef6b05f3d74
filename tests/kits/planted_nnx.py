"""Flax nnx models with a dropout that is planted in the wrong way, each beside a twin that is right."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

INPUT = jnp.linspace(-1.0, 1.0, 48).reshape(6, 8)


class Block(nnx.Module):
    """Two linear layers around ``inner``."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.a, self.b = nnx.Linear(8, 16, rngs=rngs), nnx.Linear(16, 4, rngs=rngs)
        self.drop = nnx.Dropout(0.3, rngs=rngs)
        self.rngs = rngs
        self.training = True
        self.more(rngs)

    def more(self, rngs: Any) -> None:
        """Further layers."""

    def inner(self, x: Any) -> Any:
        return self.drop(x)

    def __call__(self, x: Any) -> Any:
        return self.b(self.inner(jnp.tanh(self.a(x))))


class FunctionAlways(Block):
    def inner(self, x: Any) -> Any:
        return jnp.where(jax.random.uniform(self.rngs.dropout(), x.shape) < 0.8, self.drop(x) / 0.8, 0)


class FunctionInTraining(FunctionAlways):
    def inner(self, x: Any) -> Any:
        return self.drop(x) if self.drop.deterministic else super().inner(x)


class MadeInCall(Block):
    def inner(self, x: Any) -> Any:
        return nnx.Dropout(0.2)(self.drop(x), rngs=self.rngs)


class NeverCalled(Block):
    def inner(self, x: Any) -> Any:
        return x


class WrongFlag(Block):
    def more(self, rngs: Any) -> None:
        self.attention = nnx.MultiHeadAttention(2, 16, dropout_rate=0.1, decode=False, rngs=rngs)

    def still(self) -> bool | None:
        return False

    def inner(self, x: Any) -> Any:
        return self.drop(self.attention(x[:, None], deterministic=self.still())[:, 0])


class RightFlag(WrongFlag):
    def still(self) -> bool | None:
        return None


class OneKey(Block):
    """The first dropout hands its key on to the second."""

    def more(self, rngs: Any) -> None:
        self.second = nnx.Dropout(0.2)

    def inner(self, x: Any) -> Any:
        first, second = self.keys()
        return self.second(jnp.tanh(nnx.Dropout.__call__(self.drop, x, rngs=first)), rngs=second)

    def keys(self) -> Any:
        return (jax.random.key(4),) * 2


class OwnCount(OneKey):
    """Keys of a count that the model keeps by itself: another one in each pass, and for each layer."""

    def more(self, rngs: Any) -> None:
        super().more(rngs)
        self.count = nnx.Variable(jnp.zeros((), "uint32"))

    def keys(self) -> Any:
        key = jax.random.fold_in(jax.random.key(4), self.count[...])
        self.count[...] = self.count[...] + 1
        return jax.random.split(key)
