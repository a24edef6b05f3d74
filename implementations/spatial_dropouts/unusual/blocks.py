"""Right layers of overlapping blocks, and of a scale that each call makes of what it keeps."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.broken.base import Layer
from spatial_dropouts.broken.blocks import Blocks, spread


class SeedsEverywhere(Blocks):
    """Seeds at every position, so that blocks are cut at the border."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c, height, width = x.shape
        seeds = rng.random((n, c, height, width)) < self.gamma(height, width)
        return spread(seeds, (3, 3))[..., 1:-1, 1:-1]


class SharedBlocks(Blocks):
    """One mask for all channels, as declared, from seeds of the rate over the elements of a block, as declared."""

    def gamma(self, height: int, width: int) -> float:
        return self.rate / self.size**2

    def mask(self, x: Any, rng: Any) -> Any:
        made = super().mask(x[:, :1], rng)
        return np.broadcast_to(made, x.shape)


class Realised(Layer):
    """A coin an element, scaled by what the call keeps."""

    def mask(self, x: Any, rng: Any) -> Any:
        return rng.random(x.shape) < self.rate

    def drop(self, x: Any, mask: Any) -> Any:
        kept = max(1, mask.size - int(np.count_nonzero(mask)))
        return np.where(mask, np.zeros((), x.dtype), (x.astype(np.float64) * (mask.size / kept)).astype(x.dtype))


def _one(attr: str, summary: str, pattern: str, **more: Any) -> Implementation:
    contract = Contract(pattern=Pattern.parse(pattern), seeds=("generator",), scale="realised", **more)
    make = f"{__name__}:{attr}"
    return Implementation(make=make, framework="numpy", contract=contract, default=False, summary=summary)


REGISTER: Mapping[str, Implementation] = {
    "unusual.blocks": _one("Blocks", "overlapping blocks of 3 x 3, as declared", "n c h w -> n c h w", block=3),
    "unusual.blocks-everywhere": _one(
        "SeedsEverywhere", "overlapping blocks, cut at the border", "n c h w -> n c h/3 w/3"
    ),
    "unusual.blocks-shared": _one(
        "SharedBlocks", "overlapping blocks of all channels", "n c h w -> n h/3 w/3", gamma="area"
    ),
    "unusual.realised": _one("Realised", "scaled by the share that a call keeps, as declared", "n c l -> n c l"),
}
