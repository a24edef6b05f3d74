"""A second round of layers written to slip through: PyTorch, written before any of them was audited.

dropcheck selftest --part zoo --from tests/measurements/second_round_torch.py --profile quick
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import nn

EXPECTED = {
    "CotangentAsItComes": "gradient.cotangents",
    "FrozenByEval": "mode.toggle",
    "CopyForgets": "form.copies",
    "OtherThreadKeeps": "mode.threads",
    "StridesTurnAxes": ["form.strides", "mask.whole-channels"],
    "BfloatBackward": "gradient.scale",
    "OnceDifferentiable": "gradient.second-derivative",
    "FunctionRight": None,
    "SeedOfACall": None,
}


class Base(nn.Module):
    """A right layer ``n c l -> n c``; the others change one thing."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, not {p!r}")
        self.p = p

    def keep(self, x: Any) -> Any:
        shape = [*x.shape[:2], *[1] * (x.dim() - 2)]
        return torch.rand(shape, device=x.device) >= self.p

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        return self.drop(x, self.keep(x))

    def drop(self, x: Any, keep: Any) -> Any:
        if self.p == 1:
            return torch.where(keep, x, torch.zeros_like(x))
        return torch.where(keep, x / (1 - self.p), torch.zeros_like(x))


class _Masked(torch.autograd.Function):
    """x / (1 - p) where kept, with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Any, keep: Any, p: float) -> Any:
        ctx.save_for_backward(keep)
        ctx.p = p
        return torch.where(keep, x / (1 - p) if p < 1 else x, torch.zeros_like(x))

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (keep,) = ctx.saved_tensors
        return torch.where(keep, g / (1 - ctx.p) if ctx.p < 1 else g, torch.zeros_like(g)), None, None


class _AsItComes(_Masked):
    """Reads the memory of the cotangent as if it were contiguous."""

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (keep,) = ctx.saved_tensors
        if not g.is_contiguous() and g.untyped_storage().nbytes() == g.numel() * g.element_size():
            g = g.as_strided(g.shape, torch.empty(g.shape).stride())
        return torch.where(keep, g / (1 - ctx.p) if ctx.p < 1 else g, torch.zeros_like(g)), None, None


class _NoScale(_Masked):
    """Forgets the scale for bfloat16."""

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (keep,) = ctx.saved_tensors
        plain = ctx.p == 1 or g.dtype == torch.bfloat16
        return torch.where(keep, g if plain else g / (1 - ctx.p), torch.zeros_like(g)), None, None


class _Once(_Masked):
    """The gradient is made without a graph."""

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (keep,) = ctx.saved_tensors
        g = g.detach()
        return torch.where(keep, g / (1 - ctx.p) if ctx.p < 1 else g, torch.zeros_like(g)), None, None


class CotangentAsItComes(Base):
    """The backward pass takes a transposed gradient for a contiguous one."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _AsItComes.apply(x, keep, self.p)


class FrozenByEval(Base):
    """After evaluation the last mask is used for ever, as long as the shape fits."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.last: Any = None
        self.fixed = False

    def eval(self) -> Any:
        self.fixed = self.last is not None
        return super().eval()

    def keep(self, x: Any) -> Any:
        if self.fixed and self.last.shape[:2] == x.shape[:2] and self.last.dim() == x.dim():
            return self.last
        self.last = super().keep(x)
        return self.last


class CopyForgets(Base):
    """A deep copy has the default rate."""

    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)()


class OtherThreadKeeps(Base):
    """The mask is drawn in the thread that made the layer; other threads keep everything, scaled."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.home = threading.get_ident()

    def keep(self, x: Any) -> Any:
        keep = super().keep(x)
        return keep if threading.get_ident() == self.home else torch.ones_like(keep)


class StridesTurnAxes(Base):
    """Inputs whose last axis is not the fastest are taken for channels last."""

    def keep(self, x: Any) -> Any:
        if x.dim() == 3 and x.stride(-1) != 1 and x.shape[-1] > 1:
            return torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.p
        return super().keep(x)


class BfloatBackward(Base):
    """The backward pass of bfloat16 has no scale."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _NoScale.apply(x, keep, self.p)


class OnceDifferentiable(Base):
    """The second derivative is cut off."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _Once.apply(x, keep, self.p)


class FunctionRight(Base):
    """Right: a function with a gradient of its own."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _Masked.apply(x, keep, self.p)


class SeedOfACall(Base):
    """Right: each call draws a seed of 62 bits, and its mask from a generator of that seed."""

    def keep(self, x: Any) -> Any:
        generator = torch.Generator(device=x.device)
        generator.manual_seed(int(torch.randint(1 << 62, ())))
        shape = [*x.shape[:2], *[1] * (x.dim() - 2)]
        return torch.rand(shape, device=x.device, generator=generator) >= self.p
