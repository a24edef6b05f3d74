"""Keras models with a dropout that is planted in the wrong way, each beside a twin that is right."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

INPUT = np.linspace(-1.0, 1.0, 48, dtype="float32").reshape(6, 8)
RATE = 0.2


class Block(keras.Model):
    """Two dense layers around ``inner``."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = layers.Dense(16, "tanh"), layers.Dense(4)
        self.drop = layers.Dropout(0.3, name="drop")
        self.seeds = keras.random.SeedGenerator(5)
        self.more()

    def more(self) -> None:
        """Further layers."""

    def inner(self, x: Any, training: bool) -> Any:
        return self.drop(x, training=training)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.b(self.inner(self.a(x), training))


class FunctionAlways(Block):
    def inner(self, x: Any, training: bool) -> Any:
        return keras.random.dropout(self.drop(x, training=training), RATE, seed=self.seeds)


class FunctionInTraining(FunctionAlways):
    def inner(self, x: Any, training: bool) -> Any:
        return super().inner(x, training) if training else x


class MadeInCall(Block):
    def inner(self, x: Any, training: bool) -> Any:
        return layers.Dropout(RATE)(self.drop(x, training=training), training=True)


class NeverCalled(Block):
    def inner(self, x: Any, training: bool) -> Any:
        return x


class WrongFlag(Block):
    def more(self) -> None:
        self.attention = layers.MultiHeadAttention(2, 4, dropout=RATE, name="attention")

    def flag(self, training: bool) -> bool:
        return True

    def inner(self, x: Any, training: bool) -> Any:
        some = keras.ops.reshape(x, (-1, 4, 4))
        y = self.attention(some, some, training=self.flag(training))
        return self.drop(keras.ops.reshape(y, (-1, 16)), training=training)


class RightFlag(WrongFlag):
    def flag(self, training: bool) -> bool:
        return training


class Leaf(keras.Model):
    """Without a layer inside, and without a rate: a function drops."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(5)

    def call(self, x: Any, training: bool = False) -> Any:
        return keras.random.dropout(x, RATE, seed=self.seeds) if training else x


class LeafAlways(Leaf):
    def call(self, x: Any, training: bool = False) -> Any:
        return super().call(x, True)


class Tagger(Block):
    """Recurrent dropout: its masks are drawn in inference, too, and not used."""

    def more(self) -> None:
        self.gru = layers.GRU(4, dropout=RATE, recurrent_dropout=0.1, name="gru")

    def inner(self, x: Any, training: bool) -> Any:
        return self.gru(keras.ops.reshape(self.drop(x, training=training), (-1, 4, 4)), training=training)


class OneSeed(Block):
    """Two layers, each with the same seed."""

    def more(self) -> None:
        self.drop, self.second = (layers.Dropout(r, seed=s, name=n) for r, s, n in self.kinds())

    def kinds(self) -> Any:
        return (0.3, 7, "drop"), (0.2, 7, "second")

    def inner(self, x: Any, training: bool) -> Any:
        return self.second(self.drop(x, training=training), training=training)


class TwoSeeds(OneSeed):
    def kinds(self) -> Any:
        return (0.3, 7, "drop"), (0.2, 8, "second")


class SeedOfTheFunction(Block):
    """A function with a whole number as its seed: one mask in all passes."""

    def inner(self, x: Any, training: bool) -> Any:
        x = self.drop(x, training=training)
        return keras.random.dropout(x, RATE, seed=11) if training else x
