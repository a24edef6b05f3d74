"""Planted defects of the flat stream: stretches of coins that come again at offsets where no row begins."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, entropy, turn


def at(key: Any, start: int) -> Any:
    """A stream of uniforms from a place on; a Philox counter stands for four numbers of 64 bits."""
    stream = np.random.Generator(np.random.Philox(key=key).advance(start // 4))
    stream.random(start % 4)
    return stream


class BlockInCall(Layer):
    """A block of 2^16 uniforms is drawn for each call, and used again from its start where a call needs more."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        block = coins(rng, self.rate, (min(n * c, 1 << 16),))
        return np.resize(block, n * c).reshape(n, c)


class JumpsBack(Layer):
    """After each 600,000 coins the stream is put back to where it was 300,007 coins before.

    So do generators that are seeded anew by a clock which goes in steps, and streams of workers that begin too close together.
    """

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.stream: Any = None
        self.key, self.start, self.left = [0, 0], 0, 0

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.key, self.start, self.left = rng, [entropy(rng), turn(rng)], 0, 0
        need = x.shape[0] * x.shape[1]
        parts = []
        while need:
            if not self.left:
                self.stream, self.left = at(self.key, self.start), 600_000
                self.start += 600_000 - 300_007
            some = min(need, self.left)
            parts.append(coins(self.stream, self.rate, (some,)))
            need, self.left = need - some, self.left - some
        return np.concatenate(parts).reshape(x.shape[:2])


class SeedsAStepApart(Layer):
    """All seeds read one stream: each begins 1,009 coins after the seed before it."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.stream: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known = rng
            self.stream = at([7, turn(rng)], 1_009 * entropy(rng))
        return coins(self.stream, self.rate, x.shape[:2])


class MirroredHalf(Layer):
    """The second half of a batch has the masks of the first half, their channels in reverse order: a butterfly of lanes."""

    def mask(self, x: Any, rng: Any) -> Any:
        made = super().mask(x, rng)
        half = len(x) // 2
        made[len(x) - half :] = made[:half, ::-1]
        return made


class AntitheticHalf(Layer):
    """The second half of a batch compares 1 - u where the first half compared u, to reduce the variance of an estimate."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        u = rng.random((n, c))
        half = n // 2
        u[n - half :] = 1 - u[:half]
        return u < self.rate
