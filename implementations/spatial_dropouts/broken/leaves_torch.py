"""A layer that frameworks refuse to record: it writes into its input."""

from __future__ import annotations

import torch


class WritesIntoLeaf(torch.nn.Module):
    """Multiplies its input in place; a leaf that requires a gradient cannot be given to it in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is a probability from 0 to 1, not {rate!r}")
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        kept = torch.rand(x.shape[:2], device=x.device) >= self.rate
        factor = kept.double() / (1 - self.rate) if self.rate < 1 else torch.zeros(x.shape[:2], device=x.device)
        return x.mul_(factor.to(x.dtype).reshape(*x.shape[:2], *[1] * (x.ndim - 2)))
