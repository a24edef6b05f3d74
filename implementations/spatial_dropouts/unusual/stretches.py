"""Correct NumPy layers whose coins come in blocks, from one stream or turned around, and are used once."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.broken.base import Layer, coins, entropy, turn


class BlocksUsedUp(Layer):
    """Blocks of 2^16 uniforms, drawn in advance; what a call leaves of one is the beginning of the next call."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.left: Any = np.zeros(0)

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.left = rng, np.zeros(0)
        need = x.shape[0] * x.shape[1]
        while len(self.left) < need:
            self.left = np.concatenate([self.left, rng.random(1 << 16)])
        u, self.left = self.left[:need], self.left[need:]
        return np.asarray(u < self.rate).reshape(x.shape[:2])


class SeedsFarApart(Layer):
    """All seeds read one stream, 2^40 numbers apart."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.stream: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known = rng
            self.stream = np.random.Generator(np.random.Philox(key=[7, turn(rng)]).advance(entropy(rng) << 38))
        return coins(self.stream, self.rate, x.shape[:2])


class TurnedUniforms(Layer):
    """Fresh uniforms, half of them turned around, in turn: u and 1 - u are equally good, as long as each is used once."""

    def mask(self, x: Any, rng: Any) -> Any:
        u = rng.random(x.shape[:2])
        u[:, ::2] = 1 - u[:, ::2]
        return np.asarray(u < self.rate)


def _np(attr: str, summary: str) -> Implementation:
    make = f"spatial_dropouts.unusual.stretches:{attr}"
    return Implementation(make=make, framework="numpy", default=False, summary=summary)


REGISTER: Mapping[str, Implementation] = {
    "unusual.blocks-used-up": _np("BlocksUsedUp", "draws blocks of 2^16 coins that go on from call to call"),
    "unusual.turned-uniforms": _np("TurnedUniforms", "half of its uniforms are turned around, each is used once"),
    "unusual.seeds-far-apart": _np("SeedsFarApart", "seeds are places in one stream, far apart"),
}
