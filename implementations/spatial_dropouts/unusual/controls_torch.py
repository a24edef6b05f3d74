"""A correct PyTorch layer with a coin an element and a backward pass of its own, the twin of those in broken/controls_torch.py."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from spatial_dropouts.broken.torch_layers import Layer, select


class _Saved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
        ctx.save_for_backward(mask)
        ctx.rate = rate
        return select(x, mask, rate)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        return select(g, ctx.saved_tensors[0], ctx.rate), None, None


class ElementsSaved(Layer):
    """Drops single elements by selecting, and keeps the mask for the backward pass."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(x.shape, dtype=torch.float64) < self.rate

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Saved.apply(x, mask, self.rate)
        return result
