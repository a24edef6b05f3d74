"""Correct NumPy layers whose coins come about in an unusual way."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, dropped
from spatial_dropouts.unusual.layers import _mix


class SampleStreams(Layer):
    """Every sample has a counter-based stream of its own: a Philox key from the call, a counter from the sample."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        key = rng.integers(0, 2**64, size=2, dtype=np.uint64)
        philox = np.random.Philox(key=key)
        generator, numbers, start = np.random.Generator(philox), np.empty((n, c)), philox.state
        for i in range(n):
            # a sample's stream begins at its own multiple of 2^128 of the 256-bit counter: streams cannot meet
            start["state"]["counter"][2] = i
            philox.state = start  # four times as fast as a generator of its own
            generator.random(out=numbers[i])
        return numbers < self.rate


class EpochAhead(Layer):
    """Masks of sixteen calls of one shape are drawn in advance and used up; reseeding, another shape or rate draws anew."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.waiting: Any = []
        self.drawn_at = self.rate

    def mask(self, x: Any, rng: Any) -> Any:
        shape = x.shape[:2]
        other = rng is not self.known or self.rate != self.drawn_at
        if other or not self.waiting or self.waiting[-1].shape != shape:
            self.known, self.waiting = rng, list(coins(rng, self.rate, (16, *shape)))
            self.drawn_at = self.rate
        return self.waiting.pop()


class AliasMethod(Layer):
    """Two coins at once, by Walker's alias method over their four outcomes."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.tabulate()

    def tabulate(self) -> None:
        """The tables of a rate."""
        self.of_rate = self.rate
        p, q = self.rate, 1 - self.rate
        share, alias = [4 * q * q, 4 * q * p, 4 * p * q, 4 * p * p], [0, 1, 2, 3]
        small, large = [i for i in range(4) if share[i] < 1], [i for i in range(4) if share[i] >= 1]
        while small and large:
            one, other = small.pop(), large[-1]
            alias[one] = other
            share[other] -= 1 - share[one]
            if share[other] < 1:
                small.append(large.pop())
        for rest in small + large:
            share[rest] = 1.0
        self.share, self.alias = np.array(share), np.array(alias)

    def mask(self, x: Any, rng: Any) -> Any:
        if self.rate != self.of_rate:  # set since then
            self.tabulate()
        size = x.shape[0] * x.shape[1]
        column = rng.integers(0, 4, -(-size // 2))
        outcome = np.where(rng.random(len(column)) < self.share[column], column, self.alias[column])
        both = np.stack([outcome >= 2, outcome % 2 == 1], axis=1)
        return both.reshape(-1)[:size].reshape(x.shape[:2])


class Xorshift(Layer):
    """xorshift64* (Vigna 2016), 256 lanes side by side, each begun by a hash of a key; its upper 53 bits decide."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        size = x.shape[0] * x.shape[1]
        if rng is not self.known:
            self.known = rng
            key = rng.integers(0, 2**64, dtype=np.uint64)
            with np.errstate(over="ignore"):
                self.state = _mix(key + np.arange(1, 257, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(
                    1
                )
        rounds = -(-size // 256)
        found = np.empty((rounds, 256), np.uint64)
        state = self.state
        with np.errstate(over="ignore"):
            for i in range(rounds):
                state = state ^ (state >> np.uint64(12))
                state = state ^ (state << np.uint64(25))
                state = state ^ (state >> np.uint64(27))
                found[i] = state * np.uint64(0x2545F4914F6CDD1D)
        self.state = state
        uniform = (found.ravel()[:size] >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (uniform < self.rate).reshape(x.shape[:2])


class PermutedCongruential(Layer):
    """PCG-XSH-RR 64/32 (O'Neill 2014), 512 lanes with increments of their own; 32 bits against an integer threshold."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        size = x.shape[0] * x.shape[1]
        if rng is not self.known:
            self.known = rng
            self.state = rng.integers(0, 2**64, 512, dtype=np.uint64)
            self.step = rng.integers(0, 2**64, 512, dtype=np.uint64) | np.uint64(1)
        rounds = -(-size // 512)
        found = np.empty((rounds, 512), np.uint32)
        with np.errstate(over="ignore"):
            for i in range(rounds):
                old = self.state
                self.state = old * np.uint64(6364136223846793005) + self.step
                word = (((old >> np.uint64(18)) ^ old) >> np.uint64(27)).astype(np.uint32)
                turn = (old >> np.uint64(59)).astype(np.uint32)
                found[i] = (word >> turn) | (word << ((np.uint32(32) - turn) & np.uint32(31)))
        return (found.ravel()[:size].astype(np.uint64) < np.uint64(round(self.rate * 2**32))).reshape(x.shape[:2])


class ByteByByte(Layer):
    """Bytes against the digits of the rate to the base 256: a later digit is drawn only where all before it are equal."""

    def mask(self, x: Any, rng: Any) -> Any:
        shape = x.shape[:2]
        if self.rate == 1:
            return np.ones(shape, bool)
        open_, below, left = np.ones(shape, bool), np.zeros(shape, bool), self.rate
        for _ in range(7):
            digit, left = int(left * 256), left * 256 % 1
            drawn = rng.integers(0, 256, shape)
            below |= open_ & (drawn < digit)
            open_ &= drawn == digit
        return below


class ExponentialRace(Layer):
    """A coin drops where an exponential time of rate -log(1 - rate) is over before 1."""

    def mask(self, x: Any, rng: Any) -> Any:
        if self.rate == 1:
            return np.ones(x.shape[:2], bool)
        return rng.exponential(size=x.shape[:2]) < -np.log1p(-self.rate)


class CountThenPlaces(Layer):
    """The number of drops of the whole call is binomial, and their places a random subset: the same law."""

    def mask(self, x: Any, rng: Any) -> Any:
        size = x.shape[0] * x.shape[1]
        mask = np.zeros(size, bool)
        mask[rng.permutation(size)[: rng.binomial(size, self.rate)]] = True
        return mask.reshape(x.shape[:2])


class Float16Threshold(Layer):
    """In float16 an integer threshold of 24 bits, in other dtypes a float64 comparison."""

    def mask(self, x: Any, rng: Any) -> Any:
        if x.dtype != np.float16:
            return super().mask(x, rng)
        return rng.integers(0, 2**24, x.shape[:2], dtype=np.uint32) < np.uint32(round(self.rate * 2**24))


class NegativeZeros(Layer):
    """Dropped elements become -0.0, which is equal to 0."""

    def drop(self, x: Any, mask: Any) -> Any:
        return np.where(mask[:, :, None], x.dtype.type(-0.0), dropped(x, np.zeros_like(mask), self.rate))


class ViewOfLarger(Layer):
    """The output is a view into the middle of a larger array of its own."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        larger = np.full(tuple(s + 4 for s in y.shape), np.nan, y.dtype)
        view = larger[tuple(slice(2, 2 + s) for s in y.shape)]
        view[...] = y
        return view


class FortranOrdered(Layer):
    """The output is stored with its first axis fastest."""

    def drop(self, x: Any, mask: Any) -> Any:
        return np.asfortranarray(super().drop(x, mask))


class ReturnsInput(Layer):
    """Inference, and training at rate 0, return the input itself."""

    def infer(self, x: Any, rng: Any) -> Any:
        return x

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if training and self.rate == 0:
            return x
        return super().__call__(x, training=training, rng=rng)
