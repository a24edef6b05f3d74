"""Planted defects: rates that follow the number of calls made so far."""

from __future__ import annotations

from typing import Any

from spatial_dropouts.broken.base import Layer, coins


class CreepingRate(Layer):
    """The rate grows with every call: after 4000 calls it is twice the rate that was asked for."""

    calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        return coins(rng, min(1.0, self.rate * (1 + self.calls / 4000)), x.shape[:2])


class FallingRate(Layer):
    """The rate decays with every call, to half after 3000 of them."""

    calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        return coins(rng, self.rate / (1 + self.calls / 3000), x.shape[:2])


class SharedStep(Layer):
    """A warm-up of 400 steps from half of the rate, with a counter that inference calls move, too."""

    steps = 0

    def infer(self, x: Any, rng: Any) -> Any:
        self.steps += 1
        return super().infer(x, rng)

    def mask(self, x: Any, rng: Any) -> Any:
        self.steps += 1
        return coins(rng, self.rate * (0.5 + 0.5 * min(1.0, self.steps / 400)), x.shape[:2])
