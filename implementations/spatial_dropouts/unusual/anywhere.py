"""Correct NumPy layers close to ties that no common distance shows: other orders, and exclusive ors with fresh bits."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.broken.base import Layer


class FromBothEnds(Layer):
    """Uniforms are drawn for the first and the last sample, then for the second and the last but one; half are turned around."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        order = np.argsort(np.minimum(np.arange(n), np.arange(n)[::-1]), kind="stable")
        u = np.empty((n, c))
        u[order] = rng.random((n, c))
        u[n // 2 :] = 1 - u[n // 2 :]
        return np.asarray(u < self.rate)


class DrawnTransposed(Layer):
    """Uniforms are drawn channel by channel in every second call, so that squares come transposed, each from fresh numbers."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.calls = rng, 0
        n, c = x.shape[:2]
        self.calls += 1
        u = rng.random((c, n)).T if self.calls % 2 else rng.random((n, c))
        return np.asarray(u < self.rate)


class ExclusiveOrs(Layer):
    """At rate one half a coin is the exclusive or of a bit of its sample, one of its channel and a fresh bit of its own."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        fresh = super().mask(x, rng)
        if self.rate != 0.5:
            return fresh
        return fresh ^ (rng.random((n, 1)) < 0.5) ^ (rng.random((1, c)) < 0.5)


class OneAhead(Layer):
    """The last uniform of a call is the first one of the next call: a stream one number ahead, each number used once."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.left: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.left = rng, rng.random(1)
        u = np.concatenate([self.left, rng.random(x.shape[0] * x.shape[1])])
        u, self.left = u[:-1], u[-1:]
        return np.asarray(u < self.rate).reshape(x.shape[:2])


def _np(attr: str, summary: str) -> Implementation:
    make = f"spatial_dropouts.unusual.anywhere:{attr}"
    return Implementation(make=make, framework="numpy", default=False, summary=summary)


REGISTER: Mapping[str, Implementation] = {
    "unusual.from-both-ends": _np("FromBothEnds", "draws samples from both ends of the batch, half turned around"),
    "unusual.drawn-transposed": _np("DrawnTransposed", "draws every second call channel by channel"),
    "unusual.exclusive-ors": _np("ExclusiveOrs", "fresh bits, combined with bits of samples and channels"),
    "unusual.one-ahead": _np("OneAhead", "a stream one number ahead of its calls"),
}
