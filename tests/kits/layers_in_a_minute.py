"""Dropout layers as people write them in a minute: what new users bring, one right and the others wrong in one way each.

All take ``n c l`` and drop whole channels, or should. The first five, and the three after them, are those on which the words
of reports were first tried; the rest are other common mistakes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class _Layer(nn.Module):
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        return self.dropped(x)

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(x.shape[0], x.shape[1], 1) >= self.p


class Good(_Layer):
    """Right at every rate in (0, 1)."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask(x) / (1 - self.p)


class PerElement(_Layer):
    """One drop decision for each element."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(x.shape) >= self.p) / (1 - self.p)


class OnePercent(_Layer):
    """Drops 1.01 times the rate."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(x.shape[0], x.shape[1], 1) >= self.p * 1.01) / (1 - self.p)


class Frozen(_Layer):
    """Keeps the mask of the first call of each shape."""

    kept: Any = None

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        if self.kept is None or self.kept.shape[:2] != x.shape[:2]:
            self.kept = self.mask(x)
        return x * self.kept / (1 - self.p)


class Unscaled(_Layer):
    """Does not scale."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask(x)


class ChannelsLast(_Layer):
    """Takes ``n l c``."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(x.shape[0], 1, x.shape[2]) >= self.p) / (1 - self.p)


class KeepProb(_Layer):
    """Its argument is the keep probability."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(x.shape[0], x.shape[1], 1) < self.p) / self.p


class NeedsArg(nn.Module):
    """Its first argument is not the rate."""

    def __init__(self, channels: int, p: float = 0.5) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], x.shape[1], 1) >= self.p) / (1 - self.p) * self.scale[None, :, None]


class OneMaskPerBatch(_Layer):
    """All samples share one mask."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(1, x.shape[1], 1) >= self.p) / (1 - self.p)


class OneDecisionPerSample(_Layer):
    """Drops whole samples."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(x.shape[0], 1, 1) >= self.p) / (1 - self.p)


class AlwaysOn(_Layer):
    """Drops in inference, too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.p == 0 else x * self.mask(x) / (1 - self.p)


class NeverOn(_Layer):
    """Returns its input."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x


class ScaledInInference(_Layer):
    """The older convention: scales in inference instead of in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask(x) if self.training else x * (1 - self.p)


class ScaledTwice(_Layer):
    """Divides twice."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask(x) / (1 - self.p) / (1 - self.p)


class DividedByRate(_Layer):
    """Divides by the rate."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask(x) / self.p


class InTheInputsDtype(_Layer):
    """Draws uniform numbers in the dtype of its input."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand(x.shape[0], x.shape[1], 1, dtype=x.dtype) > self.p) / (1 - self.p)


class OwnSeed(_Layer):
    """Seeds a generator of its own, from a constant."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.generator = torch.Generator().manual_seed(0)

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(x.shape[0], x.shape[1], 1, generator=self.generator) >= self.p

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask(x) / (1 - self.p)


class Detached(_Layer):
    """No gradient passes."""

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.mask(x) / (1 - self.p)).detach().requires_grad_()
