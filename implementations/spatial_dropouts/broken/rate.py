"""Planted defects of the rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, dropped


class SwapsKeepAndDrop(Layer):
    """The rate is taken for the keep probability; the scale fits the wrong rate's contract."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, 1 - self.rate, x.shape[:2])


class EightBitThreshold(Layer):
    """Coins compare 8 random bits: rates are rounded to 1/256."""

    def mask(self, x: Any, rng: Any) -> Any:
        return rng.integers(0, 256, x.shape[:2]) < np.ceil(self.rate * 256)


class HalfPrecisionUniform(Layer):
    """For float16 inputs the uniform number is drawn with 7 bits; other dtypes are right."""

    def mask(self, x: Any, rng: Any) -> Any:
        if x.dtype == np.float16:
            return np.floor(rng.random(x.shape[:2]) * 128) / 128 < self.rate
        return super().mask(x, rng)


class HalfAPointMore(Layer):
    """Half a percentage point too many drops."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, min(1.0, self.rate + 0.005), x.shape[:2])


class SmallRatesVanish(Layer):
    """Rates below .02 drop nothing."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate if self.rate >= 0.02 else 0.0, x.shape[:2])


class AlwaysHalf(Layer):
    """The rate has no influence on the coins."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, 0.5 if self.rate < 1 else 1.0, x.shape[:2])


class TailLanesKept(Layer):
    """Channels behind the last multiple of eight are never dropped."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        c = x.shape[1]
        if c > 8 and self.rate < 1:
            m[:, c // 8 * 8 :] = False
        return m


class FirstChannelLess(Layer):
    """The first of several channels drops six points less often."""

    def mask(self, x: Any, rng: Any) -> Any:
        u = rng.random(x.shape[:2])
        if x.shape[1] > 1 and 0.06 < self.rate < 1:
            u[:, 0] += 0.06
        return u < self.rate


class FirstSampleKept(Layer):
    """The first sample of a batch is never dropped."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if len(m) > 1 and self.rate < 1:
            m[0] = False
        return m


class LastSampleMore(Layer):
    """The last sample of a batch drops eight points more."""

    def mask(self, x: Any, rng: Any) -> Any:
        u = rng.random(x.shape[:2])
        if len(u) > 1 and 0 < self.rate < 0.92:
            u[-1] -= 0.08
        return u < self.rate


class BatchOfOneLess(Layer):
    """Batches of one drop three points less."""

    def mask(self, x: Any, rng: Any) -> Any:
        less = 0.03 if x.shape[0] == 1 and 0.03 < self.rate < 1 else 0.0
        return coins(rng, self.rate - less, x.shape[:2])


class WideInputsMore(Layer):
    """Above 256 channels the rate is two points too high."""

    def mask(self, x: Any, rng: Any) -> Any:
        more = 0.02 if x.shape[1] > 256 and 0 < self.rate < 0.98 else 0.0
        return coins(rng, self.rate + more, x.shape[:2])


class ZeroStillDrops(Layer):
    """At rate 0 one coin in 512 still drops."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if training and self.rate == 0:
            return dropped(x, coins(rng, 1 / 512, x.shape[:2]), 0.0)
        return super().__call__(x, training=training, rng=rng)


class OneIsNaN(Layer):
    """At rate 1 the scale is infinite and 0 * inf is NaN."""

    def drop(self, x: Any, mask: Any) -> Any:
        if self.rate < 1:
            return super().drop(x, mask)
        with np.errstate(divide="ignore", invalid="ignore"):
            return x * np.zeros((), x.dtype) / np.zeros((), x.dtype)


class OneKeepsSome(Layer):
    """At rate 1 one coin in 256 is kept."""

    def mask(self, x: Any, rng: Any) -> Any:
        if self.rate == 1:
            return coins(rng, 255 / 256, x.shape[:2])
        return super().mask(x, rng)

    def drop(self, x: Any, mask: Any) -> Any:
        return np.where(mask[:, :, None], np.zeros((), x.dtype), x) if self.rate == 1 else super().drop(x, mask)


class ObeysAnyRate(Layer):
    """Rates that are no probability are obeyed."""

    def __init__(self, rate: float) -> None:
        self.rate = float(rate)


class AcceptsNaN(Layer):
    """NaN slips through ``rate < 0 or rate > 1``."""

    def __init__(self, rate: float) -> None:
        if rate < 0 or rate > 1:
            raise ValueError(f"rate is a probability, not {rate}")
        self.rate = float(rate)
