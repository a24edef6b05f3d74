"""Planted defects of streams: a seed that reaches nothing or not all, chunks keyed by call plus chunk, seeds a constant apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, entropy, turn

# on purpose: one stream for the whole process, in the same state in every process, and no seed reaches it
_FIXED = np.random.default_rng(20_240_229)
_LEGACY = np.random.RandomState(7)


class ModuleStream(Layer):
    """Coins come from a generator of the module with a fixed seed: the given one is left alone."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(_FIXED, self.rate, x.shape[:2])


class LegacyStream(Layer):
    """Coins come from a legacy generator that was seeded once, when the module was loaded."""

    def mask(self, x: Any, rng: Any) -> Any:
        return np.asarray(_LEGACY.random_sample(x.shape[:2])) < self.rate


class FirstCallSeeded(Layer):
    """Only the first call after seeding takes the given generator."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        source = _FIXED if self.known is rng else rng
        self.known = rng
        return coins(source, self.rate, x.shape[:2])


class HalvesUnseeded(Layer):
    """The branch for half precision has a generator of its own."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(_FIXED if x.dtype == np.float16 else rng, self.rate, x.shape[:2])


class SmallInputsUnseeded(Layer):
    """Below 1000 coins, a fast path draws from the module's generator."""

    def mask(self, x: Any, rng: Any) -> Any:
        small = x.shape[0] * x.shape[1] < 1000
        return coins(_FIXED if small else rng, self.rate, x.shape[:2])


class SeedsTurned(Layer):
    """Every odd seed takes the uniforms of the even seed before it, turned around at half of the places.

    Generators of one recurrence do so where neighbouring seeds differ by a constant: coins of neighbours agree or disagree
    wholly at every place, and about as often as they should on average over places.
    """

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.stream: Any = None
        self.turns: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known = rng
            self.stream = np.random.default_rng([entropy(rng) >> 1, 3, turn(rng)])
            self.turns = np.random.default_rng(11)
        u = self.stream.random(x.shape[:2])
        turned = self.turns.random(x.shape[:2]) < 0.5
        if entropy(rng) % 2:
            u = np.where(turned, 1 - u, u)
        return np.asarray(u < self.rate)


class ChunkPerCall(Layer):
    """A mask in four chunks, each by a generator seeded with the number of the call plus that of the chunk."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.number = 0

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.number = rng, int(rng.integers(2**40))
        self.number += 1
        n, c = x.shape[:2]
        parts = np.array_split(np.arange(n), 4)
        drawn = [coins(np.random.default_rng(self.number + i), self.rate, (len(p), c)) for i, p in enumerate(parts)]
        return np.concatenate(drawn)


class FrozenElements(Layer):
    """One mask of single elements, drawn at the first call of each shape and kept."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.kept: Any = {}

    def mask(self, x: Any, rng: Any) -> Any:
        if x.shape not in self.kept:
            self.kept[x.shape] = coins(rng, self.rate, x.shape)
        return self.kept[x.shape]


class LeanCallsWithACopy(Layer):
    """Every call takes a fifth of its coins from the call before, and the last two channels are copies."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.before: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        if self.before is not None and self.before.shape == mask.shape:
            mask = np.where(rng.random(mask.shape) < 0.2, self.before, mask)
        self.before = mask
        if mask.shape[1] > 1:
            mask = mask.copy()
            mask[:, -1] = mask[:, -2]
        return mask


class OverlappingBlocks(Layer):
    """Blocks of seven channels fall from every drawn centre, as many centres as coins should fall: far too much drops."""

    def mask(self, x: Any, rng: Any) -> Any:
        centres = coins(rng, self.rate / 7, x.shape[:2])
        mask = centres.copy()
        for shift in range(1, 7):
            mask[:, shift:] |= centres[:, :-shift]
        return mask


class SkipsACall(Layer):
    """One call in 200 drops nothing."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.number = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.number += 1
        mask = super().mask(x, rng)
        return np.zeros_like(mask) if self.number % 200 == 0 else mask


class WarmsUp(Layer):
    """The first sixteen calls drop a tenth as often."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.number = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.number += 1
        return coins(rng, self.rate / 10 if self.number <= 16 else self.rate, x.shape[:2])
