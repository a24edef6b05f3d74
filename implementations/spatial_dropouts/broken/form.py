"""Planted defects of the form."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, dropped


class ComesOutFloat32(Layer):
    """Low-precision input comes out as float32."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        return y.astype(np.float32) if x.dtype == np.float16 else y


class DropsLastStep(Layer):
    """The output lacks the last position."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        return y[:, :, :-1] if x.shape[2] > 1 else y


class IgnoresStrides(Layer):
    """The storage of a strided or transposed input is read as if it were contiguous."""

    def drop(self, x: Any, mask: Any) -> Any:
        if not x.flags.c_contiguous and x.base is not None:
            x = np.resize(x.base, x.shape).astype(x.dtype)
        return super().drop(x, mask)


class StridedTearsChannels(Layer):
    """Only strided inputs lose single elements instead of channels."""

    def mask(self, x: Any, rng: Any) -> Any:
        if not x.flags.c_contiguous:
            return coins(rng, self.rate, x.shape)
        return super().mask(x, rng)


class FirstBatchFrozen(Layer):
    """The buffer has the size of the first batch: the rest of larger batches is 0."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.size = 0

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        self.size = self.size or len(x)
        y[self.size :] = 0
        return y


class RefusesOtherBatch(Layer):
    """Another batch size than the first raises."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.size = -1

    def drop(self, x: Any, mask: Any) -> Any:
        if self.size < 0:
            self.size = len(x)
        if len(x) != self.size:
            raise ValueError(f"expected a batch of {self.size}, got {len(x)}")
        return super().drop(x, mask)


class EmptyBecomesScalar(Layer):
    """An empty input comes out with another shape."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if x.size == 0:
            return np.zeros((1,), x.dtype)
        return super().__call__(x, training=training, rng=rng)


class OtherRankDropsRows(Layer):
    """For rank 2 (``c l``, declared) rows of the last axis are dropped."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if x.ndim == 2 and training and self.rate:
            return dropped(x, np.broadcast_to(coins(rng, self.rate, (1, x.shape[1])), x.shape), self.rate)
        return super().__call__(x, training=training, rng=rng)


class OverwritesInput(Layer):
    """Dropped channels are zeroed in the input itself."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        x[mask] = 0
        return y


class ReusesOutput(Layer):
    """All calls of one shape write into one buffer and return it."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.buffers: Any = {}

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        buffer = self.buffers.setdefault((y.shape, y.dtype.str), np.empty_like(y))
        buffer[...] = y
        return buffer


class NaNLeaks(Layer):
    """The mask is multiplied: Inf and NaN in dropped channels leak (the contract promises that they do not)."""

    def drop(self, x: Any, mask: Any) -> Any:
        with np.errstate(invalid="ignore", over="ignore"):
            return super().drop(x, np.zeros_like(mask)) * (~mask)[:, :, None].astype(x.dtype)
