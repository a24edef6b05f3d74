"""Defects that one check alone sees: everything else about these layers is right, as far as the other checks can tell."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, OwnGenerator, coins, entropy, turn


class ChannelsTradeRates(Layer):
    """Channel 1 drops what channel 0 spares: the rate of all coins is right."""

    def mask(self, x: Any, rng: Any) -> Any:
        rates = np.full(x.shape[1], self.rate)
        if len(rates) > 1:
            rates[:2] += np.array([-0.5, 0.5]) * min(self.rate, 1 - self.rate)
        return coins(rng, rates, x.shape[:2])


class SamplesTradeRates(Layer):
    """In batches above 100, of 100 channels at most, sample 1 drops 12 points more and sample 0 12 points less."""

    def mask(self, x: Any, rng: Any) -> Any:
        rates = np.full((len(x), 1), self.rate)
        if len(x) > 100 >= x.shape[1] and 0.2 <= self.rate <= 0.8:
            rates[:2, 0] += [-0.12, 0.12]
        return coins(rng, rates, x.shape[:2])


class OddWidthsWithinTolerance(Layer):
    """Odd numbers of channels drop 3 points more; the contract tolerates 5 of any one rate."""

    def mask(self, x: Any, rng: Any) -> Any:
        more = 0.03 if x.shape[1] % 2 and 0.1 <= self.rate <= 0.9 else 0.0
        return coins(rng, self.rate + more, x.shape[:2])


class FirstEightEven(Layer):
    """At rate .5 the first eight of at least sixteen channels drop in even numbers; any seven are independent."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.rate == 0.5 and m.shape[1] >= 16:
            m[:, 7] = np.bitwise_xor.reduce(m[:, :7], axis=1)
        return m


class DistantPairLeans(Layer):
    """Of 64 channels or more, channel 17 follows channel 3 in half of the samples."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if m.shape[1] >= 64:
            follows = rng.random(len(m)) < 0.5
            m[follows, 17] = m[follows, 3]
        return m


class LooksAhead(Layer):
    """A tenth of the coins are those of the next call, at which the generator is peeked and put back."""

    def mask(self, x: Any, rng: Any) -> Any:
        now = rng.random(x.shape[:2])
        place = rng.bit_generator.state
        ahead = rng.random(x.shape[:2])
        rng.bit_generator.state = place
        return np.where((now * 2**20) % 1 < 0.1, ahead, now) < self.rate


class FewMasksForLargeBatches(Layer):
    """Batches above 1000 draw one of 300 masks."""

    def mask(self, x: Any, rng: Any) -> Any:
        if len(x) > 1000:
            rng = np.random.default_rng(int(rng.integers(0, 300)))
        return coins(rng, self.rate, x.shape[:2])


class SeedModuloPrime(OwnGenerator):
    """The seed counts modulo 2039: neighbours differ, strangers meet."""

    def derive(self, rng: Any) -> Any:
        return np.random.default_rng([entropy(rng) % 2039, 11, turn(rng)])


class SeedAndInstance(OwnGenerator):
    """The number of the instance is mixed into its seed: equal seeds differ between two layers of one process."""

    count = itertools.count()

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.number = next(self.count)

    def derive(self, rng: Any) -> Any:
        return np.random.default_rng([entropy(rng), self.number, turn(rng)])


class OneInAMillionDoubled(Layer):
    """The first value of one sample in ten thousand comes out twice as large."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        y = super().__call__(x, training=training, rng=rng)
        if training and 0 < self.rate < 1:
            rows = np.flatnonzero(rng.random(len(y)) < 1e-4)
            y[rows, :1, :1] *= 2
        return y


class SmallBatchesStopAfterInference(Layer):
    """An inference call ends dropout for batches below 64; no seeds are promised, so that no comparison shows it."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.ended = False

    def infer(self, x: Any, rng: Any) -> Any:
        self.ended = True
        return super().infer(x, rng)

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        return np.zeros_like(m) if self.ended and len(m) < 64 else m

    def drop(self, x: Any, mask: Any) -> Any:
        return x.copy() if self.ended and len(x) < 64 else super().drop(x, mask)


class LargeBatchesComeOutWider(Layer):
    """Batches above 1000 come out as float64."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        y = super().__call__(x, training=training, rng=rng)
        return y.astype(np.float64) if len(x) > 1000 else y


class SomeStridedInputsRead(Layer):
    """Of inputs of 12 to 14 thousand elements the memory is read as if it were contiguous."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if 12_000 < x.size < 14_000 and x.base is not None and not x.flags.c_contiguous:
            memory = np.lib.stride_tricks.as_strided(x, (x.size,), (x.itemsize,))
            x = memory.reshape(x.shape).copy()
        return super().__call__(x, training=training, rng=rng)


class RatesJitter(Layer):
    """Every sample has a rate of its own, 2 points around the right one: a mean correlation of channels of .002."""

    def mask(self, x: Any, rng: Any) -> Any:
        jitter = 0.02 if 0.3 <= self.rate <= 0.7 else 0.0
        rates = self.rate + jitter * rng.choice([-1.0, 1.0], (len(x), 1))
        return coins(rng, rates, x.shape[:2])


class FactorRoundedUp(Layer):
    """The factor is rounded up to the dtype: every value is right to the bound of one, and all of them lean one way."""

    def drop(self, x: Any, mask: Any) -> Any:
        if self.rate == 1:
            return np.zeros_like(x)
        exact = 1 / (1 - Fraction(self.rate))
        factor = x.dtype.type(float(exact))
        if Fraction(float(factor)) < exact:
            factor = np.nextafter(factor, x.dtype.type(np.inf))
        return np.where(mask[..., None], np.zeros((), x.dtype), x * factor)
