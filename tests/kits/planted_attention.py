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


class IgnoresRateOne(Manual):
    def dropped(self, weights: Any) -> Any:
        return weights if self.p == 1 else super().dropped(weights)


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


class ManualStack(Between):
    """Two recurrent layers that hand on their input, with a dropout in three lines between them, right."""

    shared: tuple[int, ...] = ()
    rescaled = True

    def __init__(self, p: float) -> None:
        super().__init__(p, "LSTM")

    def run(self, carrier: Any) -> Any:
        if not self.training or self.p == 0:
            return carrier
        return self.dropped(carrier)

    def kept(self, shape: Any) -> Any:
        return torch.rand([1 if axis in self.shared else size for axis, size in enumerate(shape)]) >= self.p

    def dropped(self, carrier: Any) -> Any:
        if self.p == 1:
            return carrier * 0
        return carrier * self.kept(carrier.shape).to(carrier.dtype) * (1 / (1 - self.p) if self.rescaled else 1)


class OneMaskForAllSteps(ManualStack):
    """The mask between the layers is drawn once a call, not at every step: another pattern than PyTorch documents."""

    shared = (0,)


class OneMaskForAllSequences(ManualStack):
    shared = (1,)


class StackNotRescaled(ManualStack):
    rescaled = False


class StackIgnoresRateOne(ManualStack):
    def dropped(self, carrier: Any) -> Any:
        return carrier if self.p == 1 else super().dropped(carrier)


class StackDropsInInference(ManualStack):
    def run(self, carrier: Any) -> Any:
        return self.dropped(carrier)


class SecondDirectionCopies(ManualStack):
    """The features of the backward direction, the second half, have the mask of the forward direction."""

    def kept(self, shape: Any) -> Any:
        return super().kept((*shape[:-1], shape[-1] // 2)).repeat(1, 1, 2)
