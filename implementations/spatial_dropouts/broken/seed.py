"""Planted defects of the seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, OwnGenerator, coins, entropy

_GLOBAL = np.random.default_rng()  # on purpose: not seeded by anybody


class IgnoresSeed(Layer):
    """Coins come from a generator that nobody can seed."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(_GLOBAL, self.rate, x.shape[:2])


class LargeInputsUnseeded(Layer):
    """Above 10 000 coins, threads take their numbers in any order."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        return coins(_GLOBAL, self.rate, m.shape) if m.size > 10_000 else m


class KeepsDrawnBlock(Layer):
    """A block of coins is drawn in advance and survives reseeding."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.block = np.zeros(0)

    def mask(self, x: Any, rng: Any) -> Any:
        size = x.shape[0] * x.shape[1]
        while len(self.block) < size:
            self.block = np.concatenate([self.block, rng.random(65536)])
        u, self.block = self.block[:size], self.block[size:]
        return u.reshape(x.shape[:2]) < self.rate


class SeedTruncated(OwnGenerator):
    """Only 6 bits of the seed are used."""

    def derive(self, rng: Any) -> Any:
        return np.random.default_rng(int(rng.integers(0, 64)))


class AlwaysSeedZero(OwnGenerator):
    """Every layer draws from seed 0, whatever it was given."""

    def derive(self, rng: Any) -> Any:
        return np.random.default_rng(0)


class NeighbourSeedsLean(Layer):
    """A fifth of the coins depend on the seed without its lowest bit: neighbouring seeds are correlated by .2."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.shared: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.shared = rng, np.random.default_rng([entropy(rng) >> 1, 99])
        own = super().mask(x, rng)
        which = self.shared.random(own.shape) < 0.2
        return np.where(which, coins(self.shared, self.rate, own.shape), own)


class HighBitsIgnoredHalf(Layer):
    """Half of the coins ignore the upper bits of the seed: seeds one high bit apart are correlated."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.shared: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.shared = rng, np.random.default_rng([entropy(rng) & 0x3FFFF, 98])
        own = super().mask(x, rng)
        which = self.shared.random(own.shape) < 0.5
        return np.where(which, coins(self.shared, self.rate, own.shape), own)
