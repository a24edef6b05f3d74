"""Correct PyTorch layers that come close to defects of daily use."""

from __future__ import annotations

import itertools
import os
import threading
from typing import Any, ClassVar, Dict, Optional, Tuple

import numpy as np
import torch

from spatial_dropouts.broken.base import valid
from spatial_dropouts.broken.torch_layers import Layer, coins, select

_LOCK = threading.Lock()


class MaskForInspection(Layer):
    """The mask of the last call stays on the layer for whoever wants to look at it; nothing reads it."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        drawn = coins(x, self.rate)
        self.last_mask = drawn
        return drawn


class ForksTheStreams(Layer):
    """Sets global streams for a picture of its mask, and puts them back as they were."""

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        drawn = coins(x, self.rate)
        before = np.random.get_state()
        np.random.seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.picture = torch.rand(4), np.random.random(4)
        np.random.set_state(before)
        return drawn


class ReadOnlyRate(torch.nn.Module):
    """The rate is fixed at construction, and a property without a setter says so."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = valid(rate)

    @property
    def rate(self) -> float:
        """The drop probability."""
        return self._rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return select(x, coins(x, self._rate), self._rate) if self.training and self._rate else x.clone()


class RateWithSetter(torch.nn.Module):
    """Threshold and factor are worked out when the rate is set, at construction or later."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    @property
    def rate(self) -> float:
        """The drop probability."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        self._rate = valid(value)
        self._keep = 1 - self._rate if self._rate < 1 else 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self._rate == 0:
            return x.clone()
        dropped = (torch.rand(x.shape[:2], dtype=torch.float64) >= 1 - self._rate)[..., None]
        return torch.where(dropped, torch.zeros((), dtype=x.dtype), (x.double() / self._keep).to(x.dtype))


class SeedByDefault(torch.nn.Module):
    """The constructor's seed is 0 by default, as its signature says: two layers of one seed share their masks by contract."""

    def __init__(self, rate: float, seed: int = 0) -> None:
        super().__init__()
        self.rate, self.generator = valid(rate), torch.Generator().manual_seed(seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        mask = torch.rand(x.shape[:2], generator=self.generator, dtype=torch.float64) < self.rate
        return select(x, mask, self.rate)


def _uniform(entropy: Tuple[int, int], x: torch.Tensor) -> torch.Tensor:
    """Uniform numbers of a key and a count. PyTorch's generator on the CPU would read no more than 32 bits of them."""
    return torch.from_numpy(np.random.default_rng(entropy).random(tuple(x.shape[:2])))


class StreamGoesOn(torch.nn.Module):
    """A key of its own, drawn by the constructor's seed, and a count of calls: a copy goes on with the stream, as documented."""

    def __init__(self, rate: float, seed: Optional[int] = None) -> None:
        super().__init__()
        self.rate = valid(rate)
        self.key = int.from_bytes(os.urandom(5), "big") if seed is None else (seed * 0x9E3779B97F4A7C15) % 2**40
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        with _LOCK:
            self.calls += 1
            number = int(self.calls)
        mask = _uniform((self.key, number), x) < self.rate
        return select(x, mask, self.rate)


class CounterWithLock(Layer):
    """Each call seeds a generator by a key and a number that no other call gets: the counter has a lock."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.key, self.count = int.from_bytes(os.urandom(5), "big"), 0

    def number(self) -> int:
        """The number of this call."""
        with _LOCK:
            self.count += 1
            return self.count

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return _uniform((self.key, self.number()), x) < self.rate


class _Once(torch.autograd.Function):
    """A backward pass in place, on a copy of the cotangent, that says that it is not differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, rate: float) -> torch.Tensor:
        ctx.save_for_backward(mask)
        ctx.rate = rate
        return select(x, mask, rate)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        (mask,) = ctx.saved_tensors
        own = g.clone(memory_format=torch.contiguous_format)
        own.masked_fill_(mask.reshape(mask.shape + (1,) * (g.ndim - mask.ndim)), 0)
        return own.div_(1 - ctx.rate if ctx.rate < 1 else 1.0), None, None


class OnceDifferentiable(Layer):
    """Its backward pass works in place on a copy of the cotangent, and is marked once_differentiable."""

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Once.apply(x, mask, self.rate)
        return result


class KeepsOnTheClass(Layer):
    """The class keeps what belongs to a rate, by the rate: all layers of that rate share it, and no coin."""

    keeps: ClassVar[Dict[float, float]] = {}

    def drop(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        keep = self.keeps.setdefault(self.rate, 1 - self.rate if self.rate < 1 else 1.0)
        dropped = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
        return torch.where(dropped, torch.zeros((), dtype=x.dtype), (x.double() / keep).to(x.dtype))


_NUMBERS = itertools.count()


class NumberedLayers(Layer):
    """Layers are numbered for their names; the number touches no coin, and a copy gets one of its own."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.number = next(_NUMBERS)

    def __setstate__(self, state: Dict[str, Any]) -> None:
        super().__setstate__(state)
        self.number = next(_NUMBERS)
