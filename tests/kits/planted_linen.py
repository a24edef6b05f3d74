"""Flax linen models with a dropout that is planted in the wrong way, each beside a twin that is right."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

INPUT = jnp.linspace(-1.0, 1.0, 48).reshape(6, 8)


class Block(nn.Module):
    """Two dense layers around ``inner``."""

    def setup(self) -> None:
        self.a, self.drop, self.b = nn.Dense(16), nn.Dropout(0.3), nn.Dense(4)

    def inner(self, x: Any, train: bool) -> Any:
        return self.drop(x, deterministic=not train)

    def __call__(self, x: Any, train: bool) -> Any:
        return self.b(self.inner(jnp.tanh(self.a(x)), train))


def dropped(key: Any, x: Any, rate: float) -> Any:
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


class FunctionAlways(Block):
    def inner(self, x: Any, train: bool) -> Any:
        return dropped(self.make_rng("dropout"), self.drop(x, deterministic=not train), 0.2)


class FunctionInTraining(Block):
    def inner(self, x: Any, train: bool) -> Any:
        x = self.drop(x, deterministic=not train)
        return dropped(self.make_rng("dropout"), x, 0.2) if train else x


class WhereTraining(Block):
    """Draws in inference, too, and throws the masks away."""

    def inner(self, x: Any, train: bool) -> Any:
        x = self.drop(x, deterministic=not train)
        return jnp.where(train, dropped(self.make_rng("dropout"), x, 0.2), x)


class NeverCalled(Block):
    def inner(self, x: Any, train: bool) -> Any:
        return x


class WrongFlag(Block):
    def setup(self) -> None:
        super().setup()
        self.second = nn.Dropout(0.2)

    def inner(self, x: Any, train: bool) -> Any:
        return self.second(self.drop(x, deterministic=not train), deterministic=False)


class RightFlag(WrongFlag):
    def inner(self, x: Any, train: bool) -> Any:
        return self.second(self.drop(x, deterministic=not train), deterministic=not train)


class AttentionAlways(Block):
    training = True

    def setup(self) -> None:
        super().setup()
        self.attention = nn.MultiHeadDotProductAttention(num_heads=2, dropout_rate=0.1)

    def inner(self, x: Any, train: bool) -> Any:
        still = not (train or self.training)
        return self.drop(self.attention(x[:, None], deterministic=still)[:, 0], deterministic=not train)


class AttentionInTraining(AttentionAlways):
    training = False


@jax.custom_vjp
def straight(key: Any, x: Any) -> Any:
    return dropped(key, x, 0.3)


straight.defvjp(lambda key, x: (dropped(key, x, 0.3), None), lambda _, g: (None, g / 0.7))


class StraightDropout(nn.Module):
    """Drops in the forward pass, and lets every gradient through."""

    rate: float = 0.3

    def __call__(self, x: Any, deterministic: bool = False) -> Any:
        return x if deterministic else straight(self.make_rng("dropout"), x)


class StraightThrough(Block):
    def setup(self) -> None:
        self.a, self.drop, self.b = nn.Dense(16), StraightDropout(), nn.Dense(4)


class Steps(nn.Module):
    """Layers of one kind in a scan, each with its own masks."""

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        def step(cell: Any, carry: Any, _: Any) -> Any:
            return cell(carry, train), None

        many = nn.scan(step, variable_axes={"params": 0}, split_rngs={"params": True, "dropout": True}, length=3)
        return many(Cell(), x, None)[0]


class Cell(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        return nn.Dropout(0.4, name="drop")(nn.Dense(8)(x), deterministic=not train)


class OneKey(Block):
    """Its dropout and a function draw from one key."""

    def inner(self, x: Any, train: bool) -> Any:
        if not train:
            return x
        first, second = self.keys(self.make_rng("dropout"))
        return dropped(second, jnp.tanh(self.drop(x, deterministic=False, rng=first)), 0.4)

    def keys(self, key: Any) -> Any:
        return key, key


class TwoKeys(OneKey):
    def keys(self, key: Any) -> Any:
        return jax.random.split(key)


class KeyOfTheLayer(Block):
    """A key that never changes, also between passes."""

    def inner(self, x: Any, train: bool) -> Any:
        x = self.drop(x, deterministic=not train)
        return dropped(jax.random.key(3), x, 0.2) if train else x
