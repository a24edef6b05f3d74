"""Planted defects of sizes, rates, inputs and lifetimes of daily use: each a branch that real code has for speed."""

from __future__ import annotations

import zlib
from typing import Any, Dict

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, dropped, scaled


def power_of_two(size: int) -> bool:
    """Whether a size is a power of two, as kernels ask."""
    return size > 1 and size & (size - 1) == 0


class BatchOf32(Layer):
    """A template for batches of 32: one warp draws for all of its lanes."""

    def mask(self, x: Any, rng: Any) -> Any:
        if x.shape[0] == 32:
            return np.repeat(super().mask(x[:1], rng), 32, axis=0)
        return super().mask(x, rng)


class Channels256(Layer):
    """256 channels: bits of 128 random bytes are used twice."""

    def mask(self, x: Any, rng: Any) -> Any:
        if x.shape[1] == 256:
            return np.tile(super().mask(x[:, :128], rng), (1, 2))
        return super().mask(x, rng)


class Channels1024Skip(Layer):
    """A block of 1024 threads leaves the last lane to a tail loop that never runs."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        if x.shape[1] == 1024:
            mask[:, -1] = False
        return mask


class ExactlyHalf(Layer):
    """Where the number of channels is a power of two it drops exactly its share of them, by a permutation."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if not power_of_two(c) or c < 128:
            return super().mask(x, rng)
        return rng.random((n, c)).argsort(axis=1) < round(self.rate * c)


class ShiftedRate(Layer):
    """Batches that are powers of two from 32 on compare with a shifted integer threshold."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if power_of_two(n) and n >= 32:
            return rng.integers(0, 16, (n, c)) < round(self.rate * 16 * 0.8)
        return super().mask(x, rng)


class GuessesChannels(Layer):
    """The noise shape keeps every axis that is as long as the channels: where positions are as many, each has a coin."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if not training or self.rate == 0 or x.ndim != 3:
            return super().__call__(x, training=training, rng=rng)
        shape = tuple(size if axis == 0 or size == x.shape[1] else 1 for axis, size in enumerate(x.shape))
        return np.where(coins(rng, self.rate, shape), np.zeros((), x.dtype), scaled(x, self.rate))


class GuessesBatch(Layer):
    """The same by the length of the batch: as many positions as samples."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if not training or self.rate == 0 or x.ndim != 3:
            return super().__call__(x, training=training, rng=rng)
        shape = tuple(size if axis == 1 or size == x.shape[0] else 1 for axis, size in enumerate(x.shape))
        return np.where(coins(rng, self.rate, shape), np.zeros((), x.dtype), scaled(x, self.rate))


class SymmetricSquare(Layer):
    """As many samples as channels: a transposed view is read, and the mask is its own transpose."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        if x.shape[0] == x.shape[1] > 8:
            mask[1:] = mask[:1]
        return mask


class ManyChannels(Layer):
    """Indices of 11 bits: from 2048 channels on, coins come round."""

    def mask(self, x: Any, rng: Any) -> Any:
        c = x.shape[1]
        return super().mask(x[:, :2048], rng)[:, np.arange(c) % 2048] if c > 2048 else super().mask(x, rng)


class LongTail(Layer):
    """From 512 positions on, vectors of eight: what is left behind them is scaled and not dropped."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        if x.ndim == 3 and x.shape[2] >= 512 and x.shape[2] % 8:
            tail = x.shape[2] % 8
            y[:, :, -tail:] = scaled(x[:, :, -tail:], self.rate)
        return y


class LongUnscaled(Layer):
    """From 1000 positions on another kernel scales by the float16 factor."""

    def drop(self, x: Any, mask: Any) -> Any:
        if x.ndim == 3 and x.shape[2] >= 1000:
            return dropped(x, mask, self.rate, float(np.float16(1 / (1 - self.rate))) * (1 - 2.0**-9))
        return super().drop(x, mask)


class CoinsBeyond(Layer):
    """A grid of 2^18 threads: coins behind them stay 0, kept."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        mask.reshape(-1)[1 << 18 :] = False
        return mask


class ElementsBeyond(Layer):
    """Elements beyond the first 2^22 are copied as they are."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        y.reshape(-1)[1 << 22 :] = x.reshape(-1)[1 << 22 :]
        return y


class LargeBatches(Layer):
    """Batches above 3000 with several channels are drawn in two halves by one stream."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if n <= 3000 or c < 2:
            return super().mask(x, rng)
        half = -(-n // 2)
        return np.tile(super().mask(x[:half], rng), (2, 1))[:n]


class Index18(Layer):
    """Coins are numbered in 18 bits: a call that has more begins again with its first."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        return mask.ravel()[np.arange(mask.size) & ((1 << 18) - 1)].reshape(mask.shape)


class ThousandMasks(Layer):
    """A thousand masks of each shape are drawn in advance, and then go round."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.masks: Dict[Any, Any] = {}
        self.calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        kept = self.masks.setdefault(x.shape[:2], [])
        if len(kept) < 1000:
            kept.append(super().mask(x, rng))
            return kept[-1]
        self.calls += 1
        return kept[self.calls % 1000]


class EveryThousandth(Layer):
    """Every thousandth call drops nothing: a counter that wraps is read as "not begun"."""

    calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        mask = super().mask(x, rng)
        return mask & (self.calls % 1000 != 0)


class LateSchedule(Layer):
    """A schedule that nobody asked for: from call 5000 on the rate grows."""

    calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        late = min(1.0, self.rate * 1.1) if self.calls > 5000 else self.rate
        return coins(rng, late, x.shape[:2])


class Keyed24(Layer):
    """Every call takes a key of 24 bits from its generator: a few thousand calls meet again."""

    def mask(self, x: Any, rng: Any) -> Any:
        return super().mask(x, np.random.default_rng(int(rng.integers(1 << 24))))


class TwoBits(Layer):
    """Quarters are drawn from two random bits of one byte: four channels share it, and the rate .2 becomes a quarter."""

    def mask(self, x: Any, rng: Any) -> Any:
        rate = 0.25 if 0.18 < self.rate < 0.28 else self.rate
        return coins(rng, rate, x.shape[:2])


class QuarterPairs(Layer):
    """At .25 and .75 a coin is the AND (the OR) of two random bits, and neighbours share one of them."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if self.rate not in (0.25, 0.75):
            return super().mask(x, rng)
        bits = rng.random((n, c + 1)) < 0.5
        return bits[:, 1:] & bits[:, :-1] if self.rate == 0.25 else bits[:, 1:] | bits[:, :-1]


class ClampedRate(Layer):
    """Rates are clamped to .001 to .95, so that no quotient is large."""

    def mask(self, x: Any, rng: Any) -> Any:
        rate = self.rate if self.rate in (0, 1) else min(max(self.rate, 0.001), 0.95)
        return coins(rng, rate, x.shape[:2])

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, self.rate)


class CountsLiveChannels(Layer):
    """The rate is made up for channels that are zero already: as many drop as if all were alive."""

    def mask(self, x: Any, rng: Any) -> Any:
        alive = np.any(x != 0, axis=tuple(range(2, x.ndim)))
        share = np.maximum(alive.mean(axis=1, keepdims=True), 1e-9) if x.size else np.ones((len(x), 1))
        return coins(rng, np.minimum(1.0, self.rate / share), x.shape[:2])


class KeyFromSample(Layer):
    """A sample's mask is drawn from a key of its bytes and of the call's: equal samples have equal masks."""

    def mask(self, x: Any, rng: Any) -> Any:
        call = int(rng.integers(1 << 62))
        keys = [zlib.crc32(sample.tobytes()) for sample in x]
        found = [coins(np.random.default_rng([call, key]), self.rate, x.shape[1:2]) for key in keys]
        return np.array(found, bool).reshape(x.shape[:2])


class ConstantIsPadding(Layer):
    """A constant sample is taken for padding, and left alone."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        if x.size:
            flat = x.reshape(len(x), -1)
            mask[(flat == flat[:, :1]).all(axis=1) & (flat.shape[1] > 64)] = False
        return mask


class PositiveOnly(Layer):
    """What has no negative value went through a ReLU and is said to need less of it."""

    def mask(self, x: Any, rng: Any) -> Any:
        gentle = x.size > 4096 and bool((x >= 0).all())
        return coins(rng, self.rate * (0.8 if gentle else 1.0), x.shape[:2])


class LargeValuesStay(Layer):
    """Channels with a value above 3000 are taken for outliers, which stay."""

    def mask(self, x: Any, rng: Any) -> Any:
        large = np.abs(x).reshape(*x.shape[:2], -1).max(axis=2, initial=0) > 3000
        return super().mask(x, rng) & ~large


class SquaresScaledTwice(Layer):
    """32 x 32 maps go through a fused kernel that scales by the realised share."""

    def drop(self, x: Any, mask: Any) -> Any:
        if x.ndim == 3 and x.shape[1:] == (128, 128):
            kept = 1 - mask.mean(axis=1, keepdims=True)
            return np.where(
                mask[:, :, None], np.zeros((), x.dtype), (x / np.maximum(kept, 1e-3)[:, :, None]).astype(x.dtype)
            )
        return super().drop(x, mask)


class InfersInHalf(Layer):
    """Inference on 256 channels goes through a float16 buffer."""

    def infer(self, x: Any, rng: Any) -> Any:
        if x.shape[1] == 256:
            return x.astype(np.float16).astype(x.dtype)
        return x.copy()
