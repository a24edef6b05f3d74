"""Planted defects in PyTorch form: gradients, dtypes and regimes that NumPy does not have."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from spatial_dropouts.broken.base import valid


def coins(x: torch.Tensor, rate: float) -> torch.Tensor:
    """One coin per (sample, channel), drawn in float64; True dropped."""
    return torch.rand(x.shape[:2], dtype=torch.float64) < rate


def spread(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The mask in the shape of x."""
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)).expand(x.shape)


def select(x: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
    """Right values: 0 under the mask, elsewhere the quotient in float64 rounded once."""
    keep = 1 - rate if rate < 1 else 1.0
    return torch.where(spread(mask, x), torch.zeros((), dtype=x.dtype), (x.to(torch.float64) / keep).to(x.dtype))


class Layer(torch.nn.Module):
    """A right layer, ``n c l -> n c``; defects override one method."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        return self.drop(x, self.mask(x))

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return coins(x, self.rate)

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return select(x, mask, self.rate)


class _Backward(torch.autograd.Function):
    """A right forward pass with a backward pass of choice."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, rate: float, kind: str) -> torch.Tensor:
        y = select(x, mask, rate)
        ctx.save_for_backward(x, mask, y)
        ctx.rate, ctx.kind = rate, kind
        return y

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        x, mask, y = ctx.saved_tensors
        rate, kind = ctx.rate, ctx.kind
        if kind == "other coins":
            grad = select(g, coins(x, rate), rate)
        elif kind == "nonzero output":
            grad = torch.where(y != 0, select(g, torch.zeros_like(mask), rate), torch.zeros_like(g))
        elif kind == "positive output":
            grad = torch.where(y > 0, select(g, torch.zeros_like(mask), rate), torch.zeros_like(g))
        elif kind == "no mask":
            grad = select(g, torch.zeros_like(mask), rate)
        elif kind == "no scale":
            grad = torch.where(spread(mask, g), torch.zeros_like(g), g)
        elif kind == "scale twice":
            grad = select(select(g, mask, rate), mask, rate)
        elif kind == "none":
            grad = torch.zeros_like(g)
        elif kind == "one in fifty":
            grad = select(g, mask, rate)
            grad.view(-1)[::50] *= 2
        else:
            raise AssertionError(kind)
        return grad, None, None, None


def _with_backward(kind: str, words: str) -> Any:
    """A layer class whose backward pass is the named one."""

    def drop(self: Layer, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Backward.apply(x, mask, self.rate, kind)
        return result

    return type("".join(w.title() for w in kind.split()), (Layer,), {"drop": drop, "__doc__": words})


BackwardOtherCoins = _with_backward("other coins", "The backward pass draws its own coins.")
BackwardFromOutput = _with_backward("nonzero output", "The mask is inferred from the output being not 0.")
BackwardFromSign = _with_backward("positive output", "The mask is inferred from the output being positive.")
BackwardNoMask = _with_backward("no mask", "The backward pass ignores the mask.")
BackwardNoScale = _with_backward("no scale", "The backward pass ignores the scale.")
BackwardScaleTwice = _with_backward("scale twice", "The backward pass scales twice.")
BackwardNone = _with_backward("none", "No gradient passes.")
BackwardOneInFifty = _with_backward("one in fifty", "One gradient in fifty is doubled.")


class EdgeNaN(Layer):
    """At rate 1 the forward pass is right and the gradient is 0 * inf."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.rate < 1:
            return super().drop(x, mask)
        y = x * 0.0
        y.register_hook(lambda g: g * float("nan")) if y.requires_grad else None
        return y


class EdgeNoGradientAtZero(Layer):
    """At rate 0 the output is detached: no gradient passes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.rate == 0:
            return x.detach().clone()
        return super().forward(x)


class LowPrecisionUniform(Layer):
    """The uniform number is drawn in the dtype of the input."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(x.shape[:2], dtype=x.dtype) < self.rate


class BFloat16Quads(Layer):
    """Only for bfloat16, groups of four channels share a coin."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        m = super().mask(x)
        if x.dtype == torch.bfloat16:
            m = m[:, torch.arange(x.shape[1]) // 4 * 4]
        return m


class GradientFreezes(Layer):
    """Only inputs that require a gradient see a mask that never changes."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.kept: Any = {}

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if not x.requires_grad:
            return super().mask(x)
        return self.kept.setdefault(tuple(x.shape), super().mask(x))


class GradientTearsChannels(Layer):
    """Only inputs that require a gradient lose elements instead of channels."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if x.requires_grad:
            whole = torch.rand(x.shape, dtype=torch.float64) < self.rate
            keep = 1 - self.rate if self.rate < 1 else 1.0
            return torch.where(whole, torch.zeros((), dtype=x.dtype), (x.to(torch.float64) / keep).to(x.dtype))
        return super().drop(x, mask)


class SeedFromAddress(Layer):
    """The seed of every call is fixed: the generator is rebuilt in each forward pass."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1234)
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=generator) < self.rate


class IgnoresManualSeed(Layer):
    """Coins come from a generator of the layer's own that manual_seed does not reach."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.generator = torch.Generator()
        self.generator.seed()

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=self.generator) < self.rate


class PermutesTransposed(Layer):
    """Transposed inputs come out with their data permuted."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not x.is_contiguous():
            x = torch.as_strided(x, x.shape, torch.empty(x.shape).stride())
        return super().drop(x, mask)


class ComesOutFloat32(Layer):
    """bfloat16 comes out as float32."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        y = super().drop(x, mask)
        return y.float() if x.dtype == torch.bfloat16 else y


class InPlace(Layer):
    """The input is overwritten."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        y = super().drop(x, mask)
        with torch.no_grad():
            x.detach().copy_(y.detach())
        return y
