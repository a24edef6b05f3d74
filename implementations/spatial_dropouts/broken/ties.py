"""Planted defects that average to nothing: ties of both signs, so many of each that sums over places or calls are 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer

TIED = 0.3  # share of the coins that are tied


def _repeats(number: int, rate: float) -> Any:
    """Which of so many places repeat a uniform u where the others take 1 - u: so many that correlations cancel.

    Coins of u and 1 - u have correlation -p / q (-q / p above .5) at rate p: a share p (q) of repeats makes up for that.
    """
    share = min(rate, 1 - rate)
    return np.floor(np.arange(1, number + 1) * share) > np.floor(np.arange(number) * share)


class CallsTurned(Layer):
    """Every second call takes three in ten uniforms of the call before, turned around in most channels."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.before: Any = None
        self.number = 0

    def mask(self, x: Any, rng: Any) -> Any:
        shape = x.shape[:2]
        if self.known is not rng:
            self.known, self.before, self.number = rng, None, 0
        u = rng.random(shape)
        if self.before is not None and self.before.shape == shape:
            tied = np.where(self.same(shape), self.before, 1 - self.before)
            u, self.before = np.where(rng.random(shape) < TIED, tied, u), None
        else:
            self.before = u
        return np.asarray(u < self.rate)

    def same(self, shape: Any) -> Any:
        """Where a call repeats the one before."""
        return _repeats(shape[1], self.rate)[None]


class CallsTurnedInTurn(CallsTurned):
    """The same, turned around as a whole in most calls."""

    def same(self, shape: Any) -> Any:
        """Whole calls, in turn."""
        self.number += 1
        return _repeats(self.number, self.rate)[-1]


class SamplesTurned(Layer):
    """Every second sample takes three in ten uniforms of the sample before, turned around in most channels."""

    def mask(self, x: Any, rng: Any) -> Any:
        u = rng.random(x.shape[:2])
        even = u[: len(u) // 2 * 2 : 2]
        tied = np.where(_repeats(x.shape[1], self.rate)[None], even, 1 - even)
        u[1::2] = np.where(rng.random(tied.shape) < TIED, tied, u[1 : 2 * len(even) : 2])
        return np.asarray(u < self.rate)


class Checkerboard(Layer):
    """Rates seven per cent above and below the asked one, like the fields of a checkerboard of samples and channels."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if n % 2 or c % 2:  # so that rows and channels have the asked rate
            fields = np.zeros((n, c))
            fields[: n // 2 * 2, : c // 2 * 2] = self.fields(n // 2 * 2, c // 2 * 2)
        else:
            fields = self.fields(n, c)
        return np.asarray(rng.random((n, c)) < self.rate + 0.07 * min(self.rate, 1 - self.rate) * fields)

    def fields(self, n: int, c: int) -> Any:
        """1 and -1, in turn."""
        return 1 - 2 * ((np.arange(n)[:, None] + np.arange(c)[None]) % 2)
