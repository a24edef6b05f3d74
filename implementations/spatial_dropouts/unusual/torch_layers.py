"""Correct PyTorch layers that look unusual."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import torch

from spatial_dropouts.broken.base import valid


class OwnGenerator(torch.nn.Module):
    """A generator of its own, seeded by the constructor; torch.manual_seed does not reach it."""

    def __init__(self, rate: float, seed: Optional[int] = None) -> None:
        super().__init__()
        self.rate = valid(rate)
        self.generator = torch.Generator()
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        mask = torch.rand(x.shape[:2], generator=self.generator, dtype=torch.float64) < self.rate
        keep = 1 - self.rate if self.rate < 1 else 1.0
        return x.masked_fill(mask[..., None], 0) / keep


class MultipliesBernoulli(torch.nn.Module):
    """A float mask of 0 and 1 / (1 - rate), rounded to the dtype of the input, multiplied."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        if self.rate == 1:
            return x * 0
        keep = torch.bernoulli(torch.full(x.shape[:2], 1 - self.rate, dtype=torch.float64))
        return x * (keep / (1 - self.rate)).to(x.dtype)[..., None]


def function(x: torch.Tensor, rate: float, *, training: bool) -> torch.Tensor:
    """A plain function on tensors that draws from the global generator."""
    valid(rate)
    if not training or rate == 0:
        return x.clone()
    mask = torch.rand(x.shape[0], x.shape[1], 1, dtype=torch.float64) < rate
    return torch.where(mask, torch.zeros((), dtype=x.dtype), x / (1 - rate if rate < 1 else 1.0))


class InPlaceOnCopy(torch.nn.Module):
    """Multiplies in place, on a copy of its own."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        y = x.clone(memory_format=torch.contiguous_format)
        keep = (torch.rand(x.shape[:2], dtype=torch.float64) >= self.rate)[..., None].to(x.dtype)
        return y.mul_(keep).div_(1 - self.rate if self.rate < 1 else 1.0)


class KeyedGenerator(torch.nn.Module):
    """Every call takes a key from the global generator and seeds one of its own: checkpointing restores the key."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        generator = torch.Generator().manual_seed(int(torch.randint(0, 2**62, ())))
        mask = torch.rand(x.shape[:2], generator=generator, dtype=torch.float64) < self.rate
        return x.masked_fill(mask[..., None], 0) / (1 - self.rate if self.rate < 1 else 1.0)


class _BitsSaved(torch.autograd.Function):
    """Keeps one byte for eight coins between the passes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, keep: float) -> torch.Tensor:
        flat = torch.nn.functional.pad(mask.reshape(-1), (0, -mask.numel() % 8)).view(-1, 8)
        powers = 2 ** torch.arange(8)
        ctx.save_for_backward((flat * powers).sum(1).to(torch.uint8))
        ctx.keep, ctx.shape = keep, mask.shape
        return x.masked_fill(mask[..., None], 0) / keep

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Tuple[Any, ...]:
        (packed,) = ctx.saved_tensors
        bits = (packed[:, None] >> torch.arange(8)) & 1
        mask = bits.reshape(-1)[: ctx.shape.numel()].view(ctx.shape).bool()
        return g.masked_fill(mask[..., None], 0) / ctx.keep, None, None


class BitsSaved(torch.nn.Module):
    """A backward pass of its own, from a mask that was packed to bits."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = valid(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x.clone()
        mask = torch.rand(x.shape[:2], dtype=torch.float64) < self.rate
        result: torch.Tensor = _BitsSaved.apply(x, mask, 1 - self.rate if self.rate < 1 else 1.0)
        return result
