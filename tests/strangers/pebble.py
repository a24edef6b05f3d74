"""A framework that nobody has seen: tensors of its own on NumPy, layers that learn or serve, one global die."""

from __future__ import annotations

import numpy as np

__release__ = "0.3"
die = np.random.default_rng()


def shake(number: int) -> None:
    """Seed the die."""
    global die
    die = np.random.default_rng(number)


class Pebbles:
    """A tensor: values, and a way back to what it was made from."""

    def __init__(self, values, source=None, factor=None):
        self.values, self.source, self.factor, self.slope = np.asarray(values), source, factor, None

    def pull(self, weights):
        """Gradient of sum(values * weights) into the source's ``slope``."""
        if self.source is not None:
            self.source.slope = Pebbles(weights.values * self.factor)


class ChannelDropout:
    """Drops whole channels of (sample, channel, position) with probability ``chance``."""

    def __init__(self, chance):
        if not 0 <= chance <= 1:
            raise ValueError(f"chance {chance}")
        self.chance = chance

    def coins(self, shape):
        return die.random((shape[0], shape[1], *[1] * (len(shape) - 2)))

    def learn(self, x):
        kind = x.values.dtype.type
        keep = self.coins(x.values.shape) >= self.chance
        scale = kind(0) if self.chance == 1 else kind(1) / kind(1 - self.chance)
        factor = np.where(keep, scale, kind(0)) * np.ones_like(x.values)
        return Pebbles(np.where(keep, x.values * factor, kind(0)), x, factor)

    def serve(self, x):
        return x


class ThriftyDropout(ChannelDropout):
    """The planted defect: one row of coins serves the whole batch."""

    def coins(self, shape):
        return die.random((1, shape[1], *[1] * (len(shape) - 2)))
