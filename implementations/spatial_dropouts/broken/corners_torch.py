"""Defects at corners of differentiation: recorded inputs, backward passes at the edges of the rate and of inference."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from spatial_dropouts.broken.torch_layers import Layer, coins, spread


class RecordedHalfWidens(Layer):
    """A float16 input that requires a gradient comes out as float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y.float() if self.training and x.requires_grad and x.dtype is torch.float16 else y


class RecordedOverwritten(Layer):
    """A bfloat16 input that requires a gradient holds the output afterwards."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        if self.training and x.requires_grad and x.dtype is torch.bfloat16:
            x.data.copy_(y.data)
        return y


class ZeroForgetsContext(Layer):
    """At rate 0 the early return saves nothing, and the backward pass looks for it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        if self.training and self.rate == 0 and y.requires_grad:
            y.register_hook(lambda g: g * self.saved_mask)
        return y


class OneDividesBackward(Layer):
    """At rate 1 the backward pass divides by zero."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.rate < 1:
            return super().drop(x, mask)
        y = x * 0.0
        if y.requires_grad:
            y.register_hook(lambda g: g * (1 / (1 - self.rate)))
        return y


class _MaskedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        ctx.mask = mask
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, None]:
        return torch.where(spread(ctx.mask, g), torch.zeros_like(g), g), None


class InferenceMasksBackward(Layer):
    """In inference the output is right and the backward pass drops."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or not x.requires_grad:
            return super().forward(x)
        before = torch.get_rng_state()
        y: torch.Tensor = _MaskedBackward.apply(x, coins(x, self.rate))
        torch.set_rng_state(before)
        return y


class InferenceDetaches(Layer):
    """In inference no gradient passes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if self.training else x.detach().clone()
