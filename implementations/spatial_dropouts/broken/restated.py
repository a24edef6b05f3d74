"""Planted defects that restate a published thread: axes taken for others, graphs, replicas, grids, constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, OwnGenerator, coins, dropped, entropy, scaled, valid

# --- axes ------------------------------------------------------------------------------------------------------------


class DropsSamples(Layer):
    """(N, C, L) is taken for one sample of N channels: one coin a sample."""

    def mask(self, x: Any, rng: Any) -> Any:
        return np.broadcast_to(coins(rng, self.rate, (x.shape[0], 1)), x.shape[:2])


def couples_channels(x: Any, rate: float, *, training: bool, rng: Any, couple_channels: bool = True) -> Any:
    """``n c h w``; a new argument whose default shares one mask among the channels."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    shape = (x.shape[0], 1) if couple_channels else x.shape[:2]
    return dropped(x, np.broadcast_to(coins(rng, rate, shape), x.shape[:2]), rate)


def volumes_drop_slices(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """``n c d h w`` handled by the two-dimensional operator: every slice of a volume has a coin of its own."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return dropped(x, coins(rng, rate, x.shape[:3]), rate)


def time_first_by_mistake(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """``n l c`` taken for ``l n c``: one mask a time step, shared by the batch."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return np.where(coins(rng, rate, (1, *x.shape[1:])), x.dtype.type(0), scaled(x, rate))


class TwoAxesMeanOneSample(Layer):
    """Two axes, declared as ``n c``, are taken for the channels and positions of one sample."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if x.ndim == 2 and training and self.rate:
            return dropped(x, coins(rng, self.rate, x.shape[:1]), self.rate)
        return super().__call__(x, training=training, rng=rng)


class Stratified(Layer):
    """The uniform numbers of a row are a Latin hypercube: one in every stratum, in random order."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        strata = rng.permuted(np.broadcast_to(np.arange(c), (n, c)), axis=1)
        return (strata + rng.random((n, c))) / max(1, c) < self.rate


# --- seeds -----------------------------------------------------------------------------------------------------------


class SeedFromBufferAddress(Layer):
    """The seed of a call is where its input lies: a buffer that is used again brings its mask again."""

    def mask(self, x: Any, rng: Any) -> Any:
        address = x.__array_interface__["data"][0]
        return coins(np.random.default_rng([address, entropy(rng)]), self.rate, x.shape[:2])


class KeyFromTraceCount(Layer):
    """The stream also depends on how often the layer was traced: once for every new shape, and reseeding forgets none."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.traced: Any = set()

    def mask(self, x: Any, rng: Any) -> Any:
        self.traced.add(x.shape)
        key = int(rng.integers(0, 2**62))
        return coins(np.random.default_rng([key, len(self.traced)]), self.rate, x.shape[:2])


class ReplicasShare(OwnGenerator):
    """Replicas in twos: seeds 2 k and 2 k + 1 give the same masks."""

    def derive(self, rng: Any) -> Any:
        return np.random.default_rng([entropy(rng) >> 1, 5])


# --- rates and scales ------------------------------------------------------------------------------------------------


class RateMeansKeep(Layer):
    """The constructor takes what it is given for the probability of keeping, for coins and scale alike."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.rate = 1 - self.rate if 0 < rate < 1 else self.rate


def coarser_grid(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Declares a grid of 1/256 and rounds to 1/16."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return dropped(x, rng.integers(0, 16, x.shape[:2]) < round(rate * 16), rate)


def wrong_affine(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Drops to its constant, as declared, and corrects the variance of what it keeps by the formula for another one."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return np.where(coins(rng, rate, x.shape[:2])[:, :, None], x.dtype.type(-1.75), scaled(x, 0.0, 1.3125))
