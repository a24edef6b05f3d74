"""A correct PyTorch layer with a backward pass of its own for training, inference and both edges of the rate."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from spatial_dropouts.broken.torch_layers import Layer, coins, select


class _OwnBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: Any, rate: float) -> torch.Tensor:
        ctx.mask, ctx.rate = mask, rate
        return x.clone() if mask is None else select(x, mask, rate)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, None, None]:
        return (g.clone() if ctx.mask is None else select(g, ctx.mask, ctx.rate)), None, None


class OwnBackward(Layer):
    """Its backward pass uses the mask of the forward pass, or none where nothing was dropped."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nothing = not self.training or self.rate == 0
        y: torch.Tensor = _OwnBackward.apply(x, None if nothing else coins(x, self.rate), self.rate)
        return y
