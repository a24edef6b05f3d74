"""Planted defects that live in one mode of PyTorch alone: plain eager calls of these layers are right."""

from __future__ import annotations

from typing import Any

import torch

from spatial_dropouts.broken.torch_layers import Layer, coins, select


class FrozenWhenCompiled(Layer):
    """Compiled, coins are a hash of their position: every call drops the same ones."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_compiling():
            return super().mask(x)
        rows, channels = x.shape[:2]
        place = torch.arange(rows * channels, dtype=torch.float64).reshape(rows, channels)
        return torch.frac(torch.sin(place * 12.9898).abs() * 43758.5453) < self.rate


class QuadsWhenCompiled(Layer):
    """Compiled, groups of four adjacent channels share a coin."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        m = super().mask(x)
        if torch.compiler.is_compiling():
            m = m[:, torch.arange(x.shape[1]) // 4 * 4]
        return m


class BackwardDrawsWhenCompiled(Layer):
    """Compiled, the backward pass draws coins of its own instead of keeping the mask."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_compiling():
            return super().drop(x, mask)
        y = super().drop(x.detach(), mask)
        other = super().drop(x, super().mask(x))
        return y + (other - other.detach())  # the values of one mask with the gradient of another


class SharedUnderVmap(Layer):
    """Mapped over samples, the mask is drawn once, outside of the map: all samples share it."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if not _mapped():
            return super().mask(x)
        with torch._C._DisableFuncTorch():
            return coins(torch.empty(tuple(x.shape)), self.rate)


class UnscaledUnderVmapSame(Layer):
    """Mapped with randomness='same', what is kept is not scaled."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return select(x, mask, 0.0 if _mapped("same") else self.rate)


def _mapped(randomness: str = "") -> bool:
    """Whether this call is mapped by torch.func.vmap, with that randomness if one is given."""
    interpreter: Any = torch._C._functorch.peek_interpreter_stack()
    if interpreter is None or interpreter.key() != torch._C._functorch.TransformType.Vmap:
        return False
    found = torch._C._functorch.CVmapInterpreterPtr(interpreter).randomness()
    return not randomness or found == getattr(torch._C._functorch.RandomnessType, randomness.title())


class MovesOnWhenRecomputed(Layer):
    """Under checkpointing a counter moves on with every pass, and the recomputed one draws other coins."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.passes = 0

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if _hooked():
            self.passes += 1
            torch.rand(self.passes)
        return super().mask(x)


def _hooked() -> bool:
    """Whether somebody packs what is saved for the backward pass, as checkpointing does."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


class _WithInPlace(Layer):
    """A right layer with an in-place variant; defects override what it does."""

    inplace = False

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.within(x, mask) if self.inplace else super().drop(x, mask)

    def within(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Overwrite x and return it."""
        x.copy_(select(x, mask, self.rate))
        return x


class RightInPlace(_WithInPlace):
    """The right twin."""


class UnscaledInPlace(_WithInPlace):
    """In place, what is kept is not scaled."""

    def within(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return x.masked_fill_(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), 0.0)


class InPlaceBreaksAutograd(_WithInPlace):
    """In place, the data are overwritten behind the back of autograd: the gradient knows no mask."""

    def within(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x.detach().copy_(select(x, mask, self.rate))
        return x


class TearsUnderAutocast(Layer):
    """Under autocast elements are dropped instead of channels."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return super().mask(x)
        return torch.rand(x.shape, dtype=torch.float64) < self.rate


class LowPrecisionUnderAutocast(Layer):
    """Under autocast the uniform number is drawn in the dtype of autocast."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled("cpu"):
            return super().mask(x)
        return torch.rand(x.shape[:2], dtype=torch.get_autocast_dtype("cpu")) < self.rate


class SameOnAllRanks(Layer):
    """In a process group the generators are synchronised: every rank draws from the seed of rank 0."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.distributed.is_initialized():
            return super().mask(x)
        seed = torch.randint(0, 2**62, (1,))
        torch.distributed.broadcast(seed, 0)
        generator = torch.Generator().manual_seed(int(seed))
        return torch.rand(x.shape[:2], dtype=torch.float64, generator=generator) < self.rate
