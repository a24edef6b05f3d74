"""A planted defect beside a constructor that draws: a block of coins, drawn when it is built, that reseeding leaves."""

from __future__ import annotations

from typing import Any

import torch

from spatial_dropouts.broken.base import valid


class BlockBesideWeights(torch.nn.Module):
    """Weights and a block of uniform numbers are drawn by the constructor; reseeding leaves what is left of the block."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)
        self.gate = torch.nn.Linear(4, 4)
        self.block = torch.rand(1 << 12)

    def drawn(self, count: int) -> Any:
        """The next numbers: of the block, then new ones."""
        while len(self.block) < count:
            self.block = torch.cat([self.block, torch.rand(max(1 << 12, count))])
        found, self.block = self.block[:count], self.block[count:]
        return found

    def forward(self, x: Any) -> Any:
        if not self.training or not self.rate:
            return x
        shape = (*x.shape[:2], *(1,) * (x.ndim - 2))
        keep = self.drawn(x.shape[0] * x.shape[1]).reshape(shape) >= self.rate
        scale = 1 / (1 - self.rate) if self.rate < 1 else 1.0
        return torch.where(keep, x * scale, torch.zeros((), dtype=x.dtype))
