"""Correct NumPy layers whose streams live outside of the layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins

_SHARED = np.random.default_rng(0)


class ModuleStreamSeeded(Layer):
    """One generator of the module for all layers, put anew where each generator that it is given stands."""

    def mask(self, x: Any, rng: Any) -> Any:
        _SHARED.bit_generator.state = rng.bit_generator.state
        mask = coins(_SHARED, self.rate, x.shape[:2])
        rng.bit_generator.state = _SHARED.bit_generator.state
        return mask
