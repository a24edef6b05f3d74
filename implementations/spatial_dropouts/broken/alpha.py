"""Planted defects of alpha dropout, and the right layer that each of them spoils in one place."""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np

from spatial_dropouts.broken.base import Layer, coins

SELU = -1.7580993408473766  # -scale * alpha of SELU: what a unit that is switched off becomes


class RightAlpha(Layer):
    """Feature alpha dropout, ``n c l -> n c``: coefficients and sums in float64, the result rounded once."""

    off = SELU

    def coefficients(self, mask: Any) -> Tuple[float, float]:
        """(a, b): they keep mean 0 and variance 1."""
        a = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * self.off**2))
        return a, -a * self.rate * self.off

    def drop(self, x: Any, mask: Any) -> Any:
        if self.rate == 1:
            return np.zeros_like(x)
        a, b = self.coefficients(mask)
        wide = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
        return (np.where(wide, self.off, x.astype(np.float64)) * a + b).astype(x.dtype)


class OffsetOmitted(RightAlpha):
    """b is left out: the mean moves."""

    def coefficients(self, mask: Any) -> Tuple[float, float]:
        return super().coefficients(mask)[0], 0.0


class WithoutRoot(RightAlpha):
    """a without its square root."""

    def coefficients(self, mask: Any) -> Tuple[float, float]:
        a = 1 / ((1 - self.rate) * (1 + self.rate * self.off**2))
        return a, -a * self.rate * self.off


class AlphaOfElu(RightAlpha):
    """alpha' is -1, the limit of ELU, in place of SELU's."""

    off = -1.0


class ScaleForgotten(RightAlpha):
    """alpha' is -alpha of SELU, without its scale."""

    off = -1.6732632423543772


class DropsToZero(RightAlpha):
    """A dropped element is 0 before the affine step instead of alpha'."""

    def drop(self, x: Any, mask: Any) -> Any:
        if self.rate == 1:
            return np.zeros_like(x)
        a, b = self.coefficients(mask)
        return (np.where(mask[:, :, None], 0.0, x.astype(np.float64)) * a + b).astype(x.dtype)


class ByRealisedShare(RightAlpha):
    """a and b are computed from the share of the batch that was really dropped."""

    def coefficients(self, mask: Any) -> Tuple[float, float]:
        share = min(float(mask.mean()) if mask.size else 0.0, 0.999)
        a = 1 / math.sqrt((1 - share) * (1 + share * self.off**2))
        return a, -a * share * self.off


class AffineOfDroppedOnly(RightAlpha):
    """The affine step is applied to dropped elements only; kept ones are returned as they came."""

    def drop(self, x: Any, mask: Any) -> Any:
        return np.where(mask[:, :, None], super().drop(x, mask), x)


class TornAlpha(RightAlpha):
    """A coin an element where one a channel is promised."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate, x.shape)


class SwappedAlpha(RightAlpha):
    """The coins keep with probability rate; the coefficients are right."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, 1 - self.rate, x.shape[:2])


class UndefinedAtOne(RightAlpha):
    """At rate 1 a is infinite and its product with 0 is NaN."""

    def drop(self, x: Any, mask: Any) -> Any:
        if self.rate < 1:
            return super().drop(x, mask)
        with np.errstate(invalid="ignore"):
            return (x.astype(np.float64) * 0 * np.inf).astype(x.dtype)
