"""Overlapping blocks (DropBlock) gone wrong: seeds, shape of blocks, sharing, and what kept values are multiplied by."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins


def spread(seeds: Any, lengths: Any) -> Any:
    """Blocks of these lengths along the last two axes from every seed; seeds (..., h - k + 1, w - k + 1) to (..., h, w)."""
    high, wide = lengths
    shape = (*seeds.shape[:-2], seeds.shape[-2] + high - 1, seeds.shape[-1] + wide - 1)
    mask = np.zeros(shape, bool)
    for row in range(high):
        for column in range(wide):
            mask[..., row : row + seeds.shape[-2], column : column + seeds.shape[-1]] |= seeds
    return mask


class Blocks(Layer):
    """Right blocks of 3 x 3 on images, seeds where whole blocks fit, as the paper has it: ``n c h w -> n c h/3 w/3``."""

    size = 3
    times = 1.0

    def gamma(self, height: int, width: int) -> float:
        """The probability of a seed (arXiv:1810.12890)."""
        k = self.size
        return self.times * self.rate * height * width / (k * k * (height - k + 1) * (width - k + 1))

    def seeds(self, x: Any, rng: Any) -> Any:
        """Seeds of each sample and channel."""
        n, c, height, width = x.shape
        shape = (n, c, height - self.size + 1, width - self.size + 1)
        return coins(rng, self.gamma(height, width), shape)

    def mask(self, x: Any, rng: Any) -> Any:
        """(n, c, h, w), True where dropped."""
        return spread(self.seeds(x, rng), (self.size, self.size))

    def factor(self, mask: Any) -> float:
        """All elements over the kept ones."""
        return float(mask.size / max(1, mask.size - np.count_nonzero(mask)))

    def drop(self, x: Any, mask: Any) -> Any:
        """Kept values times the realised factor, in float64 and rounded once."""
        kept = (x.astype(np.float64) * self.factor(mask)).astype(x.dtype)
        return np.where(mask, np.zeros((), x.dtype), kept)


class Flat(Blocks):
    """Blocks of 1 x 9 in the place of 3 x 3: as many elements drop, along rows."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c, height, width = x.shape
        made = spread(coins(rng, self.gamma(height, width), (n, c, height, width + 8)), (1, 9))
        return made[..., 8 : width + 8]


class RateOfSeeds(Blocks):
    """Each position is a seed with the rate itself, nine times too often: .61 of the positions drop for a rate of .1."""

    times = 9.0


class PlainArea(Blocks):
    """Seeds with the rate over the elements of a block, though declared with the sizes of the image: two thirds as many."""

    def gamma(self, height: int, width: int) -> float:
        return self.rate / self.size**2


class SharedByChannels(Blocks):
    """One mask for all channels of a sample."""

    def seeds(self, x: Any, rng: Any) -> Any:
        seeds = super().seeds(x[:, :1], rng)
        return np.broadcast_to(seeds, (*x.shape[:2], *seeds.shape[2:]))


class FactorOfRate(Blocks):
    """Multiplies by 1 / (1 - rate): more than is dropped where blocks overlap."""

    def factor(self, mask: Any) -> float:
        return 1 / (1 - self.rate)


class Unscaled(Blocks):
    """Multiplies by nothing."""

    def factor(self, mask: Any) -> float:
        return 1.0


class Infers(Blocks):
    """Drops in inference, too."""

    def infer(self, x: Any, rng: Any) -> Any:
        return self.drop(x, self.mask(x, rng)) if self.rate else x.copy()


class LargerBlocks(Blocks):
    """Blocks of 5 x 5 from seeds that are as rare as that takes, where 3 x 3 is declared."""

    size = 5


class OneMaskABatch(Blocks):
    """All samples of a call have the mask of the first."""

    def seeds(self, x: Any, rng: Any) -> Any:
        seeds = super().seeds(x[:1], rng)
        return np.broadcast_to(seeds, (len(x), *seeds.shape[1:]))
