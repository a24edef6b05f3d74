"""Right layers that come close: branches by size, by rate and by value that keep every promise."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.broken.base import Layer, coins, scaled
from spatial_dropouts.broken.sizes_daily import power_of_two

_PLACE = "spatial_dropouts.unusual.sizes_daily:"


class FastPowersOfTwo(Layer):
    """Where all sizes are powers of two, coins come from whole 32-bit words; elsewhere from floats."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if power_of_two(n) and power_of_two(c):
            return rng.integers(0, 1 << 32, (n, c), np.uint64) < round(self.rate * (1 << 32))
        return super().mask(x, rng)


class GuessesRightly(Layer):
    """Its noise shape is made from the number of axes, and not from their lengths, in squares, too."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if not training or self.rate == 0:
            return self.infer(x, rng) if not training else x.copy()
        shape = x.shape[:2] + (1,) * (x.ndim - 2)
        return np.where(coins(rng, self.rate, shape), np.zeros((), x.dtype), scaled(x, self.rate))


class SparseZeros(Layer):
    """Channels that are zero are skipped in the product; they have coins like others, which nobody sees."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = np.zeros_like(x)
        alive = np.any(x != 0, axis=tuple(range(2, x.ndim))) if x.size else np.zeros(x.shape[:2], bool)
        some = alive & ~mask
        y[some] = scaled(x[some], self.rate)
        return y


class QuartersFromBits(Layer):
    """At .25, .5 and .75 two bits of its own a coin; at other rates floats."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if self.rate in (0.25, 0.5, 0.75):
            return rng.integers(0, 4, (n, c)) < round(4 * self.rate)
        return super().mask(x, rng)


class LongRowsInBlocks(Layer):
    """Long channels are written block by block, and what is left of the last block, too."""

    def drop(self, x: Any, mask: Any) -> Any:
        if x.ndim != 3 or x.shape[2] < 512:
            return super().drop(x, mask)
        y = np.empty_like(x)
        for start in range(0, x.shape[2], 256):
            y[:, :, start : start + 256] = super().drop(x[:, :, start : start + 256], mask)
        return y


class LargeValuesApart(Layer):
    """Channels with a value above 3000 are scaled by themselves; they drop like others."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        large = np.abs(x).reshape(*x.shape[:2], -1).max(axis=2, initial=0) > 3000
        some = large & ~mask
        y[some] = scaled(x[some], self.rate)
        return y


class LargeInPieces(Layer):
    """Calls of more than 2^16 coins draw row by row, so that memory stays flat."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if n * c <= 1 << 16:
            return super().mask(x, rng)
        mask = np.empty((n, c), bool)
        step = max(1, (1 << 16) // c)
        for start in range(0, n, step):
            mask[start : start + step] = coins(rng, self.rate, mask[start : start + step].shape)
        return mask


class RebornEveryThousand(Layer):
    """Every thousand calls a generator of its own is seeded anew, by 128 bits of the one that it is given."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.given: Any = None
        self.own: Any = None
        self.left = 0

    def mask(self, x: Any, rng: Any) -> Any:
        if rng is not self.given or self.left == 0:
            self.given, self.left = rng, 1000
            self.own = np.random.default_rng([int(n) for n in rng.integers(0, 1 << 32, 4)])
        self.left -= 1
        return super().mask(x, self.own)


def _np(attr: str, summary: str) -> Implementation:
    return Implementation(make=_PLACE + attr, framework="numpy", default=False, summary=summary)


REGISTER: Mapping[str, Implementation] = {
    "unusual.fast-powers-of-two": _np("FastPowersOfTwo", "integers where sizes are powers of two, else floats"),
    "unusual.guesses-rightly": _np("GuessesRightly", "a noise shape from the number of axes, in squares, too"),
    "unusual.sparse-zeros": _np("SparseZeros", "skips channels that are zero"),
    "unusual.quarters-from-bits": _np("QuartersFromBits", "two bits a coin at .25, .5 and .75"),
    "unusual.long-rows-in-blocks": _np("LongRowsInBlocks", "writes long channels block by block"),
    "unusual.large-values-apart": _np("LargeValuesApart", "scales channels with large values by themselves"),
    "unusual.large-in-pieces": _np("LargeInPieces", "draws large calls in pieces"),
    "unusual.reborn-every-thousand": _np("RebornEveryThousand", "seeds its own generator anew every thousand calls"),
}
