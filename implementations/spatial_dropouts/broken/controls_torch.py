"""Planted defects in PyTorch form that only a control tells from others: with one element a coin, in one dtype, in small values."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from spatial_dropouts.broken.torch_layers import Layer, select


class Elements(Layer):
    """A right layer, ``n c l -> n c l``."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(x.shape, dtype=torch.float64) < self.rate


class _FromOutput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
        y = select(x, mask, rate)
        ctx.save_for_backward(y)
        ctx.rate = rate
        return y

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        (y,) = ctx.saved_tensors
        return select(g, y == 0, ctx.rate), None, None


class ElementsFromOutput(Elements):
    """The backward pass takes the mask of every element from its output being 0."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _FromOutput.apply(x, mask, self.rate)
        return result


class ElementsLeak(Elements):
    """The mask is multiplied: Inf and NaN of dropped elements leak (the contract promises that they do not)."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.rate == 1:
            return super().drop(x, mask)
        return (x.to(torch.float64) / (1 - self.rate)).to(x.dtype) * (~mask).to(x.dtype)


class SmallBecomeZero(Layer):
    """Kept values below 10^-3 become 0 in the forward pass; the gradient is the forward pass's own."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        y = super().drop(x, mask)
        return torch.where(x.abs() < 1e-3, torch.zeros((), dtype=x.dtype), y) if self.rate < 1 else y


class NoBFloat16(Layer):
    """bfloat16 is refused."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.bfloat16:
            raise RuntimeError("'bernoulli' is not implemented for 'BFloat16'")
        return super().forward(x)


class ScaledByRate(Layer):
    """Kept values are divided by the rate; forward and backward pass agree."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return super().drop(x, mask) if self.rate == 1 else select(x, mask, 1 - self.rate)


class RemovesChannels(Layer):
    """Dropped channels are taken out of the tensor, a fixed number of each row; nothing is scaled (vit-pytorch's patch dropout)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        rows, channels = x.shape[:2]
        left = max(1, int(channels * (1 - self.rate)))
        order = torch.rand(rows, channels).topk(left, dim=1).indices
        return x[torch.arange(rows)[:, None], order]
