"""Attention and recurrent layers with a planted defect, seen by the instruments of the real ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from spatial_dropouts.instruments.torch_attention import Sdpa
from spatial_dropouts.instruments.torch_recurrent import Between


class Manual(Sdpa):
    """Attention in three lines, right; ``shared`` names the axes that defects share a mask along."""

    shared: tuple[int, ...] = ()
    rescaled = True

    def run(self, values: Any) -> Any:
        n, h, k, _ = values.shape
        weights = torch.full((n, h, self.queries, k), 1 / k, dtype=values.dtype)
        return self.dropped(weights) @ values

    def dropped(self, weights: Any) -> Any:
        if not self.training:
            return weights
        shape = [1 if axis in self.shared else size for axis, size in enumerate(weights.shape)]
        kept = torch.rand(shape) >= self.p
        if self.p == 1:
            return weights * 0
        return weights * kept.to(weights.dtype) * (1 / (1 - self.p) if self.rescaled else 1)


class OneMaskForAllHeads(Manual):
    shared = (1,)


class OneMaskForTheBatch(Manual):
    shared = (0,)


class NotRescaled(Manual):
    rescaled = False


class DroppedInInference(Manual):
    def dropped(self, weights: Any) -> Any:
        return nn.functional.dropout(weights, self.p)


class _Redrawn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Any, values: Any, p: float) -> Any:
        ctx.save_for_backward(weights)
        ctx.p = p
        return nn.functional.dropout(weights, p) @ values

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (weights,) = ctx.saved_tensors
        return None, nn.functional.dropout(weights, ctx.p).transpose(-1, -2) @ gradients[0], None


class BackwardDrawsAgain(Manual):
    def run(self, values: Any) -> Any:
        n, h, k, _ = values.shape
        weights = torch.full((n, h, self.queries, k), 1 / k, dtype=values.dtype)
        return _Redrawn.apply(weights, values, self.p) if self.training else weights @ values


class OneMaskForAllSteps(Between):
    """The mask between the layers is drawn once a call, not at every step: another pattern than PyTorch documents."""

    def __init__(self, p: float) -> None:
        super().__init__(p, "LSTM")

    def run(self, carrier: Any) -> Any:
        if not self.training or self.p == 0:
            return carrier
        kept = (torch.rand(1, *carrier.shape[1:]) >= self.p).to(carrier.dtype)
        return carrier * kept / (1 - self.p) if self.p < 1 else carrier * 0
