"""Planted defects of daily use in PyTorch form: siblings, copies, a later rate, graphs of calls, settings, threads."""

from __future__ import annotations

import os
import random
import threading
from typing import Any, Dict, Tuple

import numpy as np
import torch

from spatial_dropouts.broken.torch_layers import Layer, coins, select, spread

# --- two instances ---------------------------------------------------------------------------------------------------


class GeneratorLeftAsMade(Layer):
    """A generator of its own that nobody seeds: PyTorch begins each with the same constant."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.generator = torch.Generator()

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=self.generator) < self.rate


class SeedsNumpyInForward(Layer):
    """Masks of PyTorch's stream; a training pass sets the stream of NumPy, from which data are shuffled."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        np.random.seed(0)
        return coins(x, self.rate)


class SeedsPythonInItsConstructor(Layer):
    """Masks of PyTorch's stream; the constructor sets Python's."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        random.seed(7)


class SeededFromInitialSeed(Layer):
    """A generator of its own, seeded by torch.initial_seed(), anew where the global state has moved: siblings start alike."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.own, self.looked = torch.Generator(), None

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if self.looked is None or not torch.equal(self.looked, torch.get_rng_state()):
            self.own.manual_seed(torch.initial_seed())
            torch.rand(())
            self.looked = torch.get_rng_state()
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=self.own) < self.rate


class _Model:
    """The mask of the last call of any layer, its rate, the layers that have shown it, the global state after it was drawn."""

    lock = threading.Lock()
    rate = -1.0

    kept: Any = None
    shown: Tuple[int, ...] = ()
    state: Any = None


class OneMaskForAModel(Layer):
    """A mask stays on the class until a layer that has shown it is called again: the second layer shows the first one's."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        with _Model.lock:
            own, now = id(self), torch.get_rng_state()
            fresh = _Model.kept is None or _Model.kept.shape != x.shape[:2] or own in _Model.shown
            if fresh or self.rate != _Model.rate or not torch.equal(now, _Model.state):
                _Model.kept, _Model.shown, _Model.rate = coins(x, self.rate), (), self.rate
                _Model.state = torch.get_rng_state()
            _Model.shown = (*_Model.shown, own)
            kept: torch.Tensor = _Model.kept
            return kept


# --- a rate set later ------------------------------------------------------------------------------------------------


class ThresholdOfTheConstructor(Layer):
    """Mask and factor come from the constructor's rate: `.rate` is for reading only, and does not say so."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.made_for = self.rate

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return coins(x, self.made_for)

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return select(x, mask, self.made_for)


class FactorOfTheConstructor(ThresholdOfTheConstructor):
    """The mask follows `.rate`, the factor is the constructor's."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return coins(x, self.rate)


class CoinsOfTheConstructor(ThresholdOfTheConstructor):
    """The factor follows `.rate`, the distribution of the coins was made in the constructor."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return select(x, mask, self.rate)


class FactorOfTheLastMade(Layer):
    """The factor lies on the class: every layer scales as the one that was made last."""

    made_last = 0.0

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        FactorOfTheLastMade.made_last = self.rate

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return select(x, mask, FactorOfTheLastMade.made_last)


# --- copies ----------------------------------------------------------------------------------------------------------


class CopyForgetsRate(Layer):
    """copy.deepcopy makes a layer of the default rate."""

    def __deepcopy__(self, memo: Dict[int, Any]) -> Any:
        return type(self)(0.5)


class PickleForgetsRate(Layer):
    """A pickle holds the class alone: the layer comes back with the default rate."""

    def __reduce__(self) -> Any:
        return type(self), (0.5,)


class PickleForgetsFactor(Layer):
    """The factor is an attribute that a pickle leaves out and that comes back as 1."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.scaled_by: Any = self.rate

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "scaled_by": 0.0}

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        factor_rate = self.scaled_by if self.scaled_by == 0.0 else self.rate
        return select(x, mask, factor_rate)


class StateTearsChannels(Layer):
    """After load_state_dict the noise shape is lost: elements drop instead of channels."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.loaded = False

    def load_state_dict(self, *given: Any, **more: Any) -> Any:
        self.loaded = True
        return super().load_state_dict(*given, **more)

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not self.loaded:
            return super().drop(x, mask)
        torn = torch.rand(x.shape, dtype=torch.float64) < self.rate
        keep = 1 - self.rate if self.rate < 1 else 1.0
        return torch.where(torn, torch.zeros((), dtype=x.dtype), (x.to(torch.float64) / keep).to(x.dtype))


class CopyTakesTheStreamAlong(Layer):
    """A generator of its own, keyed by the global one and keyed again where that has moved; a copy has the same key."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.key, self.count, self.looked = 0, 0, None

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        with _Model.lock:
            if self.looked is None or not torch.equal(self.looked, torch.get_rng_state()):
                self.key, self.count = int(torch.randint(0, 2**40, ())), 0
                self.looked = torch.get_rng_state()
            self.count += 1
            generator = torch.Generator().manual_seed(self.key * 4096 + self.count)
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=generator) < self.rate


# --- graphs of calls -------------------------------------------------------------------------------------------------


class _Held(torch.autograd.Function):
    """A right forward pass; the backward pass reads the mask from the layer, where the last forward pass left it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: Any) -> torch.Tensor:
        ctx.layer = layer
        return select(x, layer.held, layer.rate)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        return select(g, ctx.layer.held, ctx.layer.rate), None


class MaskHeldOnTheLayer(Layer):
    """The mask of the backward pass is kept on the layer: a second forward pass replaces it."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not x.requires_grad:
            return super().drop(x, mask)
        self.held = mask
        result: torch.Tensor = _Held.apply(x, self)
        return result


class BufferOfMasks(Layer):
    """One buffer of factors for all calls of a shape, filled past the eyes of autograd."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not x.requires_grad or self.rate == 1:
            return super().drop(x, mask)
        held = getattr(self, "held", None)
        if held is None or held.shape != x.shape or held.dtype != x.dtype:
            held = self.held = torch.empty(x.shape, dtype=x.dtype)
        held.data.copy_(select(torch.ones_like(x), mask, self.rate).detach())
        return x * held


class _Freed(torch.autograd.Function):
    """A right first backward pass, after which the mask is freed."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
        ctx.mask, ctx.rate = mask, rate
        return select(x, mask, rate)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        mask, ctx.mask = ctx.mask, torch.zeros_like(ctx.mask)
        return select(g, mask, ctx.rate), None, None


class MaskFreedAfterUse(Layer):
    """The backward pass frees the mask: run once more, it drops nothing."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Freed.apply(x, mask, self.rate)
        return result


class _Cotangents(torch.autograd.Function):
    """A backward pass that takes every cotangent for a contiguous tensor of its own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, rate: float, kind: str) -> torch.Tensor:
        ctx.save_for_backward(mask)
        ctx.rate, ctx.kind = rate, kind
        return select(x, mask, rate)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        (mask,) = ctx.saved_tensors
        if ctx.kind == "written" and not g.requires_grad:
            return g.copy_(select(g, mask, ctx.rate)), None, None, None
        if ctx.kind == "strides ignored" and not g.is_contiguous() and 0 not in g.stride():
            g = torch.as_strided(g, g.shape, torch.empty(g.shape).stride())
        if ctx.kind == "first step" and 0 in g.stride():
            g = g * (torch.arange(g.numel()).reshape(g.shape) < 64)  # the rest of the memory is not there
        return select(g, mask, ctx.rate), None, None, None


def _with_cotangents(kind: str, words: str) -> Any:
    def drop(self: Layer, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Cotangents.apply(x, mask, self.rate, kind)
        return result

    return type("".join(w.title() for w in kind.split()), (Layer,), {"drop": drop, "__doc__": words})


CotangentWritten = _with_cotangents(
    "written", "The backward pass writes into the cotangent, which may be one element for all."
)
CotangentStridesIgnored = _with_cotangents(
    "strides ignored", "The memory of a transposed cotangent is read as if contiguous."
)
CotangentFirstStep = _with_cotangents("first step", "Of an expanded cotangent only the first vector is read.")


class _Once(torch.autograd.Function):
    """A backward pass whose own derivative is cut off, or another one."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, rate: float, kind: str) -> torch.Tensor:
        ctx.save_for_backward(mask)
        ctx.rate, ctx.kind = rate, kind
        return select(x, mask, rate)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        (mask,) = ctx.saved_tensors
        rate = ctx.rate
        if ctx.kind == "cut":
            return select(g.detach(), mask, rate), None, None, None
        grad = _Again.apply(g, mask, rate, ctx.kind)
        return grad, None, None, None


class _Again(torch.autograd.Function):
    """A right gradient whose own gradient is wrong in one way."""

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, mask: torch.Tensor, rate: float, kind: str) -> torch.Tensor:
        ctx.save_for_backward(mask)
        ctx.rate, ctx.kind = rate, kind
        return select(g, mask, rate)

    @staticmethod
    def backward(ctx: Any, h: torch.Tensor) -> Tuple[Any, ...]:
        (mask,) = ctx.saved_tensors
        if ctx.kind == "anew":
            mask = coins(h, ctx.rate)
        second = select(h, mask, ctx.rate) if ctx.kind == "anew" else h.masked_fill(spread(mask, h), 0)
        return second, None, None, None


def _with_second(kind: str, words: str) -> Any:
    def drop(self: Layer, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Once.apply(x, mask, self.rate, kind)
        return result

    return type(f"Second{kind.title()}", (Layer,), {"drop": drop, "__doc__": words})


SecondCut = _with_second("cut", "The gradient is detached: a penalty on gradients has none.")
SecondAnew = _with_second("anew", "The second derivative draws its own coins.")
SecondUnscaled = _with_second("unscaled", "The second derivative is not scaled.")


# --- settings --------------------------------------------------------------------------------------------------------


class OffInInferenceMode(Layer):
    """Inference mode is taken for inference: a layer in training mode drops nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone() if torch.is_inference_mode_enabled() else super().forward(x)


class OffForFrozenInputs(Layer):
    """Where gradients are recorded, an input that needs none is taken for inference."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone() if torch.is_grad_enabled() and not x.requires_grad else super().forward(x)


class FactorInDefaultDtype(Layer):
    """The factor is a tensor of the default dtype."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.float32:
            return super().drop(x, mask)
        factor = torch.tensor(1 / (1 - self.rate) if self.rate < 1 else 0.0).double()
        exact = torch.get_default_dtype() in (torch.float32, torch.float64)
        right = super().drop(x, mask)
        return right if exact else torch.where(spread(mask, x), right, (x.double() * factor).to(x.dtype))


class MaskInDefaultDtype(Layer):
    """The mask is a float tensor of the default dtype, by which float32 inputs are multiplied."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.float32:
            return super().drop(x, mask)
        return super().drop(x, mask) * spread(torch.ones(x.shape[:2]), x)


class FrozenWhenDeterministic(Layer):
    """Deterministic algorithms are taken for a fixed mask."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1) if torch.are_deterministic_algorithms_enabled() else None
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=generator) < self.rate


class EndsDeterminism(Layer):
    """Deterministic algorithms are switched off for the draw, and stay so."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        torch.set_deterministic_debug_mode("default")
        return super().mask(x)


# --- threads ---------------------------------------------------------------------------------------------------------


class MaskOnSelf(Layer):
    """The mask is an attribute between its draw and its use: another thread replaces it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        self.drawn = coins(x, self.rate)
        return self.drop(x, self.drawn)


class OutputOnSelf(Layer):
    """The output is put together in a buffer of the layer and copied at the end."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        self.built = self.drop(x, self.mask(x))
        return self.built.clone()


class CounterWithoutLock(Layer):
    """Each call seeds a generator by a key and a counter of calls that has no lock."""

    count = 0

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.key = int.from_bytes(os.urandom(5), "big")

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        number = self.count
        generator = torch.Generator().manual_seed(self.key * 2**20 + number)
        self.count = number + 1
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=generator) < self.rate


_HERE = threading.local()


class OffOutsideTheMainThread(Layer):
    """Whether it is training is kept for the thread that made the layer: elsewhere nothing is dropped."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        _HERE.made = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if getattr(_HERE, "made", False) else x.clone()
