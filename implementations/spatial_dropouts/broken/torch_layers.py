"""Planted defects in PyTorch form: gradients, dtypes and regimes that NumPy does not have."""

from __future__ import annotations

import threading
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
            grad = select(g, mask, rate).contiguous()
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


class VmapSame(Layer):
    """Mapped over the batch with one key: all samples of a call draw the same mask."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if not len(x):
            return super().mask(x)

        def one(sample: torch.Tensor) -> torch.Tensor:
            return torch.rand(sample.shape[:1], dtype=torch.float64) < self.rate

        mapped: torch.Tensor = torch.vmap(one, randomness="same")(x.detach())
        return mapped if mapped.ndim == 2 else mapped.expand(x.shape[:2])


class FactorInBFloat16(Layer):
    """The factor is rounded to bfloat16 in every dtype: kept values share an error of up to .3 %."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        factor = float(torch.tensor(1 / (1 - self.rate) if self.rate < 1 else 0.0).to(torch.bfloat16))
        return torch.where(spread(mask, x), torch.zeros((), dtype=x.dtype), (x.to(torch.float64) * factor).to(x.dtype))


class FunctionalInference(Layer):
    """A functional call whose argument ``training`` was left at its default, True."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(x, self.mask(x)) if self.rate else x.clone()


class NothingDropsInBFloat16(Layer):
    """In bfloat16 the uniform number is scaled to integers that no threshold exceeds: nothing drops below rate 1."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        m = super().mask(x)
        return torch.zeros_like(m) if x.dtype == torch.bfloat16 and self.rate < 1 else m


class _OfTheModule:
    """One generator for all layers of this module, and the state of the global one when it was last looked at."""

    generator = torch.Generator()
    looked: Any = None


class ModuleGenerator(Layer):
    """A generator of the module's, seeded anew from the global one only where that has moved; a second pass moves it on."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        module = _OfTheModule
        if module.looked is None or not torch.equal(module.looked, torch.get_rng_state()):
            module.generator.manual_seed(int(torch.randint(0, 2**62, ())))
            module.looked = torch.get_rng_state()
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=module.generator) < self.rate


class MasksInPairs(Layer):
    """Two masks are drawn at a time and the second is kept for the next call: a recomputed one finds it spent."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.waiting: Any = None

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        now, waiting, self.waiting = torch.get_rng_state(), self.waiting, None
        # whoever reseeded or drew elsewhere since then gets fresh masks
        fits = waiting is not None and waiting[0].shape == x.shape[:2] and waiting[2] == self.rate
        if fits and torch.equal(waiting[1], now):
            kept: torch.Tensor = waiting[0]
            return kept
        first, second = coins(x, self.rate), coins(x, self.rate)
        self.waiting = second, torch.get_rng_state(), self.rate
        return first


_ONE_AT_A_TIME = threading.Lock()


class CallCounter(Layer):
    """Coins hash the generator's seed and state with a counter of calls; only a new generator state resets the counter."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.state: Any = None
        self.count = 0

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.state = None  # a copy gets a key of its own

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        with _ONE_AT_A_TIME:
            now = torch.get_rng_state()
            if self.state is None or not torch.equal(now, self.state):
                self.count = 0
                self.key = int(torch.randint(0, 2**40, ()))
                self.state = torch.get_rng_state()
            self.count += 1
            generator = torch.Generator().manual_seed(self.key * 4096 + self.count)
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=generator) < self.rate
