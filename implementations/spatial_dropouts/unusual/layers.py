"""Correct NumPy layers that look unusual."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, dropped, scaled, valid


def keep_probability(x: Any, keep: float, *, training: bool, rng: Any) -> Any:
    """Takes the probability of keeping."""
    rate = 1 - valid(keep)
    return dropped(x, rng.random(x.shape[:2]) >= keep, rate) if training and rate else x.copy()


def two_factors(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """The textbook formula in the dtype of the input, each step rounded."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    keep = x.dtype.type(1) - x.dtype.type(rate)
    mask = coins(rng, rate, x.shape[:2])[:, :, None]
    if rate == 1:
        return np.zeros_like(x)
    return np.where(mask, x.dtype.type(0), x * (x.dtype.type(1) / keep))


def integer_threshold(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Compares 32-bit integers with an integer threshold."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    threshold = np.uint64(round(rate * 2**32))
    return dropped(x, rng.integers(0, 2**32, x.shape[:2], dtype=np.uint64) < threshold, rate)


def reversed_order(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """The first number drawn decides the last coin."""
    valid(rate)
    return dropped(x, coins(rng, rate, x.shape[:2])[::-1, ::-1], rate) if training and rate else x.copy()


def geometric_skips(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Draws how many coins to skip until the next drop."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    size = x.shape[0] * x.shape[1]
    mask = np.zeros(size, bool)
    place = -1
    while place < size:
        gaps = rng.geometric(rate, size=int(size * rate * 1.2) + 16)
        places = place + np.cumsum(gaps)
        mask[places[places < size]] = True
        place = int(places[-1])
    return dropped(x, mask.reshape(x.shape[:2]), rate)


class BlockDrawn(Layer):
    """Coins are drawn in blocks, in advance; a new generator starts a new block."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.block = np.zeros(0)

    def mask(self, x: Any, rng: Any) -> Any:
        if rng is not self.known:
            self.known, self.block = rng, np.zeros(0)
        size = x.shape[0] * x.shape[1]
        if len(self.block) < size:
            self.block = np.concatenate([self.block, rng.random(size + 4096)])
        u, self.block = self.block[:size], self.block[size:]
        return u.reshape(x.shape[:2]) < self.rate


def _mix(v: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every input bit flips half of the output bits."""
    v = (v ^ (v >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    v = (v ^ (v >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return v ^ (v >> np.uint64(31))


class HashedCounter(Layer):
    """A hash of key and counter instead of a generator; the generator gives the key of each call."""

    def mask(self, x: Any, rng: Any) -> Any:
        key = rng.integers(0, 2**64, dtype=np.uint64)
        counter = np.arange(x.shape[0] * x.shape[1], dtype=np.uint64)
        with np.errstate(over="ignore"):
            bits = _mix(_mix(counter * np.uint64(0x9E3779B97F4A7C15) + key))
        return ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53 < self.rate).reshape(x.shape[:2])


def channels_last(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Channels on the last axis."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return np.where(coins(rng, rate, (x.shape[0], 1, x.shape[2])), x.dtype.type(0), scaled(x, rate))


def plain(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Every element has its own coin."""
    valid(rate)
    return dropped(x, coins(rng, rate, x.shape), rate) if training and rate else x.copy()


def drop_path(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """One coin a sample."""
    valid(rate)
    return dropped(x, coins(rng, rate, x.shape[:1]), rate) if training and rate else x.copy()


def batch_shared(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """One coin a channel, shared by the batch."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return dropped(x, np.broadcast_to(coins(rng, rate, (1, x.shape[1])), x.shape[:2]), rate)


def locked(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """One coin per (batch, feature), shared along time, which is the first axis."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return np.where(coins(rng, rate, (1, *x.shape[1:])), x.dtype.type(0), scaled(x, rate))


def grid(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """The coins' rate is rounded to the nearest 1/256; the scale is that of the rate asked for."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return dropped(x, rng.integers(0, 256, x.shape[:2]) < round(rate * 256), rate)


def unscaled(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Kept values stay as they are."""
    valid(rate)
    return dropped(x, coins(rng, rate, x.shape[:2]), rate, 1.0) if training and rate else x.copy()


def constant(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Dropped channels become -1.5."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return np.where(coins(rng, rate, x.shape[:2])[:, :, None], x.dtype.type(-1.5), scaled(x, rate))


def scaled_constant(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """Dropped channels become -1000, kept ones are multiplied by 1.25: the constants of one rate."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    return np.where(coins(rng, rate, x.shape[:2])[:, :, None], x.dtype.type(-1000), scaled(x, rate, 1.25))


def rate_keyword(x: Any, *, drop_probability: float, training: bool, rng: Any) -> Any:
    """The rate is a keyword."""
    rate = valid(drop_probability)
    return dropped(x, coins(rng, rate, x.shape[:2]), rate) if training and rate else x.copy()


def leading_coins(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """One coin per index of the two leading axes, however many follow."""
    valid(rate)
    return dropped(x, coins(rng, rate, x.shape[:2]), rate) if training and rate else x.copy()


def last_axis_coins(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """One coin per index of the first and the last axis, however many lie between."""
    valid(rate)
    if not training or rate == 0:
        return x.copy()
    shape = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
    return np.where(coins(rng, rate, shape), x.dtype.type(0), scaled(x, rate))
