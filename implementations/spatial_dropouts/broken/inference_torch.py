"""Planted defects of inference in PyTorch form: by shape, by gradient recording, and by the way of switching."""

from __future__ import annotations

from typing import Any, Dict, Set, Tuple

import torch

from spatial_dropouts.broken.torch_layers import Layer


class MaskByShape(Layer):
    """The mask of the last training call on a shape is applied in inference, too."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.masks: Dict[Tuple[int, ...], torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = self.masks.get(tuple(x.shape))
        if self.training or kept is None:
            return super().forward(x)
        return self.drop(x, kept)

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        self.masks[tuple(x.shape)] = super().mask(x)
        return self.masks[tuple(x.shape)]


class RecordedInference(Layer):
    """Inference on a dtype that a gradient was recorded for in training drops, as long as one is recorded."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.seen: Set[Any] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and x.requires_grad:
            self.seen.add(x.dtype)
        if not self.training and x.requires_grad and x.dtype in self.seen:
            return self.drop(x, self.mask(x))
        return super().forward(x)


class SwitchedByEval(Layer):
    """Its own eval() and train() switch it; as a part of a model it is told by ``train(False)`` alone."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.active = True

    def eval(self) -> Any:
        self.active = False
        self.training = False
        return self

    def train(self, mode: bool = True) -> Any:
        # what a parent says in eval() comes here with False, and is lost
        self.training = mode
        self.active = mode or self.active
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(x, self.mask(x)) if self.active and self.rate else x.clone()


class FrozenByEval(Layer):
    """Its own eval() notes that the last mask is the one to keep; who calls ``train(False)`` notes nothing."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.last: Any = None
        self.kept = False

    def eval(self) -> Any:
        self.kept = self.last is not None
        return super().eval()

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        if self.kept and self.last.shape[:2] == x.shape[:2]:
            return self.last
        self.last = super().mask(x)
        return self.last


class CopiedFlag(Layer):
    """Whether it trains is copied in ``train()``: who sets ``.training`` switches nothing."""

    def train(self, mode: bool = True) -> Any:
        self.copied = mode
        return super().train(mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(x, self.mask(x)) if self.copied and self.rate else x.clone()
