"""Correct PyTorch layers that look unusual."""

from __future__ import annotations

from typing import Optional

import torch

from spatial_dropouts.broken.base import valid


class OwnGenerator(torch.nn.Module):
    """A generator of its own, seeded by the constructor; torch.manual_seed does not reach it."""

    def __init__(self, rate: float, seed: Optional[int] = None) -> None:
        super().__init__()
        self.rate = valid(rate)
        self.generator = torch.Generator()
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        mask = torch.rand(x.shape[:2], generator=self.generator, dtype=torch.float64) < self.rate
        keep = 1 - self.rate if self.rate < 1 else 1.0
        return x.masked_fill(mask[..., None], 0) / keep


class MultipliesBernoulli(torch.nn.Module):
    """A float mask of 0 and 1 / (1 - rate), rounded to the dtype of the input, multiplied."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        if self.rate == 1:
            return x * 0
        keep = torch.bernoulli(torch.full(x.shape[:2], 1 - self.rate, dtype=torch.float64))
        return x * (keep / (1 - self.rate)).to(x.dtype)[..., None]


def function(x: torch.Tensor, rate: float, *, training: bool) -> torch.Tensor:
    """A plain function on tensors that draws from the global generator."""
    valid(rate)
    if not training or rate == 0:
        return x.clone()
    mask = torch.rand(x.shape[0], x.shape[1], 1, dtype=torch.float64) < rate
    return torch.where(mask, torch.zeros((), dtype=x.dtype), x / (1 - rate if rate < 1 else 1.0))
