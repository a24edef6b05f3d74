"""Defects of layers with one coin a call: a coin that is split, and one that stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer, coins


class SplitCoin(Layer):
    """Declared as one coin a call, and every sample has its own."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate, (len(x), 1))


class StayingCoin(Layer):
    """The coin of a call is used again for the next."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.held: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.held is None:
            self.held = coins(rng, self.rate, (1, 1))
            return self.held
        again, self.held = self.held, None
        return np.array(again)
