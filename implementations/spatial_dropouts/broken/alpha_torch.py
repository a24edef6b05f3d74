"""Planted defects of alpha dropout's backward pass, in PyTorch form."""

from __future__ import annotations

import math
from typing import Any, Tuple

import torch

from spatial_dropouts.broken.alpha import SELU
from spatial_dropouts.broken.base import valid


class _Affine(torch.autograd.Function):
    """a * where(mask, alpha', x) + b, with a backward pass of its own: the gradient times ``kept`` and ``gone``."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, a: float, b: float, kept: float, gone: float) -> Any:
        ctx.save_for_backward(mask)
        ctx.kept, ctx.gone = kept, gone
        return (torch.where(mask, torch.full((), SELU, dtype=torch.float64), x.double()) * a + b).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        (mask,) = ctx.saved_tensors
        return torch.where(mask, g * ctx.gone, g * ctx.kept), None, None, None, None, None


class GradientRightAlpha(torch.nn.Module):
    """Feature alpha dropout, ``n c l -> n c``; defects change what the backward pass multiplies by."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)

    def slopes(self, a: float) -> Tuple[float, float]:
        """Of a kept and of a dropped element."""
        return a, 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        if self.rate == 1:
            return x * 0
        a = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * SELU**2))
        mask = torch.rand(x.shape[0], x.shape[1], 1, dtype=torch.float64) < self.rate
        result: torch.Tensor = _Affine.apply(x, mask, a, -a * self.rate * SELU, *self.slopes(a))
        return result


class GradientOfPlainDropout(GradientRightAlpha):
    """The backward pass multiplies by 1 / (1 - rate), as plain dropout does, instead of a."""

    def slopes(self, a: float) -> Tuple[float, float]:
        return 1 / (1 - self.rate), 0.0


class GradientThroughDropped(GradientRightAlpha):
    """The backward pass multiplies every gradient by a: dropped elements get one."""

    def slopes(self, a: float) -> Tuple[float, float]:
        return a, a
