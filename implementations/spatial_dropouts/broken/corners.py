"""Defects at corners that one question alone asks: sizes that change, edge rates, extreme values, empty inputs, ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, scaled


class WidthStale(Layer):
    """Buffers have the width of the first call: inputs of another width are not dropped at all."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.width: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        self.width = self.width or x.shape[1]
        return m if x.shape[1] == self.width else np.zeros_like(m)


class LengthStale(Layer):
    """The mask has the length of the first call: what lies beyond is kept."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.length: Any = None

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        self.length = self.length or x.shape[2]
        y[:, :, self.length :] = scaled(x, self.rate)[:, :, self.length :]
        return y


class WidthCrashes(Layer):
    """A buffer of the first call's width is added to: another width is an index out of range."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.seen: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.seen is None:
            self.seen = np.zeros(m.shape[1], np.int64)
        if m.shape[1]:
            self.seen[m.shape[1] - 1] += 1
        return m


class RateOneOverwrites(Layer):
    """At rate 1 the input is filled with zeros and copied."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if training and self.rate == 1:
            x[...] = 0
        return super().__call__(x, training=training, rng=rng)


class InferenceReusesOutput(Layer):
    """Inference writes its result into the output of the last training call."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.last: Any = None

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        y = super().__call__(x, training=training, rng=rng)
        if training:
            self.last = y
        elif self.last is not None and self.last.shape == y.shape and self.last.dtype == y.dtype:
            self.last[...] = y
        return y


class RateOneInfersZeros(Layer):
    """The early return of rate 1 stands before the question of the mode."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if self.rate == 1:
            return np.zeros_like(x)
        return super().__call__(x, training=training, rng=rng)


class HighRateInfersScaled(Layer):
    """Above rate .5 inference scales."""

    def infer(self, x: Any, rng: Any) -> Any:
        return x.copy() if self.rate <= 0.5 or self.rate == 1 else scaled(x * x.dtype.type(0.01), self.rate)


class InferenceHealsNaN(Layer):
    """Inference replaces NaN and Inf."""

    def infer(self, x: Any, rng: Any) -> Any:
        return np.nan_to_num(x)


class EdgeInferenceWidens(Layer):
    """At rate 0, inference comes out as float64."""

    def infer(self, x: Any, rng: Any) -> Any:
        return x.astype(np.float64) if self.rate == 0 else x.copy()


class TinyFlushed(Layer):
    """Values below 10^-3 come out as 0."""

    def drop(self, x: Any, mask: Any) -> Any:
        return super().drop(np.where(np.abs(x) < 1e-3, x.dtype.type(0), x), mask)


class HugeSaturates(Layer):
    """Kept values saturate at 1000."""

    def drop(self, x: Any, mask: Any) -> Any:
        return np.clip(super().drop(x, mask), -1000, 1000).astype(x.dtype)


class Float16KeepsBlocks(Layer):
    """In float16 masks are drawn eight calls ahead, and reseeding leaves those that are drawn."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.ahead: Any = []

    def mask(self, x: Any, rng: Any) -> Any:
        if x.dtype != np.float16:
            return super().mask(x, rng)
        if not self.ahead or self.ahead[0].shape != x.shape[:2]:
            self.ahead = [coins(rng, self.rate, x.shape[:2]) for _ in range(8)]
        return self.ahead.pop()


class EmptyCrashes(Layer):
    """The first element is looked at: an empty input is an index out of range."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        x.reshape(-1)[0]
        return super().__call__(x, training=training, rng=rng)


class NoChannelsBecomesOne(Layer):
    """An input without channels comes out with one."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if x.shape[1]:
            return super().__call__(x, training=training, rng=rng)
        return np.zeros((len(x), 1, *x.shape[2:]), x.dtype)


class _Images(Layer):
    """A right layer of two ranks, one coin per index of the two leading axes; defects live in images."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if x.ndim == 4:
            return self.image(x, training, rng)
        return super().__call__(x, training=training, rng=rng)

    def image(self, x: Any, training: bool, rng: Any) -> Any:
        return super().__call__(x, training=training, rng=rng)


class ImagesDropTwice(_Images):
    """Images drop with twice the rate."""

    def image(self, x: Any, training: bool, rng: Any) -> Any:
        if not training or self.rate == 0:
            return x.copy()
        return self.drop(x, coins(rng, min(1.0, 2 * self.rate), x.shape[:2]))


class ImagesFrozen(_Images):
    """Images have one mask for ever."""

    def image(self, x: Any, training: bool, rng: Any) -> Any:
        return super().image(x, training, np.random.default_rng(3) if training else rng)


class ImagesInInference(_Images):
    """Images are dropped in inference, too."""

    def image(self, x: Any, training: bool, rng: Any) -> Any:
        return super().image(x, True, rng)
