"""Correct layers that are careful at corners: what they refuse they refuse, what they keep of a call changes nothing."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

from spatial_dropouts.broken.base import Layer


class RefusesCorners(Layer):
    """Empty inputs, inputs with gaps and rate 1 are refused, each by an exception that says so."""

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        if not x.size:
            raise ValueError("an empty input has no channels to drop")
        if not x.flags.forc:
            raise TypeError("the input must be stored without gaps")
        if training and self.rate == 1:
            raise ValueError("rate 1 would leave nothing")
        return super().__call__(x, training=training, rng=rng)


class OneWidth(Layer):
    """Built for the width of its first call; another is refused."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.width: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        self.width = self.width or x.shape[1]
        if x.shape[1] != self.width:
            raise ValueError(f"this layer was built for {self.width} channels, not {x.shape[1]}")
        return super().mask(x, rng)


class BufferOfEachShape(Layer):
    """Coins are drawn into a buffer kept for each shape; inference returns the input itself; ranks 3 and 4."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.buffers: Dict[Tuple[int, ...], Any] = {}

    def infer(self, x: Any, rng: Any) -> Any:
        return x

    def mask(self, x: Any, rng: Any) -> Any:
        buffer = self.buffers.setdefault(x.shape[:2], np.empty(x.shape[:2]))
        rng.random(out=buffer)
        return buffer < self.rate
