"""Planted defects of inference that only show after training calls, or on one size; each with its right twin in unusual."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

from spatial_dropouts.broken.base import Layer, scaled


class BranchByShape(Layer):
    """What an input of a shape takes is fixed by the first call that has it: training or inference."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.branches: Dict[Any, bool] = {}

    def key(self, x: Any, training: bool) -> Any:
        """What a branch is kept by."""
        return x.shape

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        branch = self.branches.setdefault(self.key(x, training), training)
        return super().__call__(x, training=branch, rng=rng)


class InferenceSticks(Layer):
    """A shape that inference has seen first is never dropped again; a shape that training has seen first is right."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.seen: Dict[Any, bool] = {}

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Any:
        first = self.seen.setdefault(x.shape, training)
        return super().__call__(x, training=training and first, rng=rng)


class MaskByShape(Layer):
    """The mask of the last training call on a shape is kept, and applied in inference, too."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.masks: Dict[Tuple[int, ...], Any] = {}

    def mask(self, x: Any, rng: Any) -> Any:
        self.masks[x.shape] = super().mask(x, rng)
        return self.masks[x.shape]

    def infer(self, x: Any, rng: Any) -> Any:
        return self.drop(x, self.masks[x.shape]) if x.shape in self.masks else x.copy()


class NewMaskByShape(MaskByShape):
    """Inference on a shape that was trained on draws a new mask."""

    def infer(self, x: Any, rng: Any) -> Any:
        return self.drop(x, self.mask(x, rng)) if x.shape in self.masks else x.copy()


class OutputByShape(Layer):
    """Inference returns what it returned for the first input of that shape."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.outputs: Dict[Tuple[int, ...], Any] = {}

    def infer(self, x: Any, rng: Any) -> Any:
        return self.outputs.setdefault((*x.shape, x.dtype), x.copy()).copy()


class DropsAfterManyCalls(Layer):
    """From its fiftieth training call on, inference drops, too."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        return super().mask(x, rng)

    def infer(self, x: Any, rng: Any) -> Any:
        return self.drop(x, Layer.mask(self, x, rng)) if self.calls >= 50 else x.copy()


class LargeInferenceScaled(Layer):
    """Inference on more than 512 samples multiplies by 1.001 (in float16 by 1 + 2**-9)."""

    def infer(self, x: Any, rng: Any) -> Any:
        if len(x) <= 512:
            return x.copy()
        return scaled(x, self.rate, 1 + 2**-9 if x.dtype == np.float16 else 1.001)
