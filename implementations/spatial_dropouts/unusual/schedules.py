"""Correct layers that count their calls: a schedule that only the user moves, and a branch that changes how coins are drawn."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.broken.base import Layer, coins


class MovedByItsUser(Layer):
    """A linear schedule with a method ``step``: calls are counted, and change nothing."""

    def __init__(self, rate: float, steps: int = 1000) -> None:
        super().__init__(rate)
        self.asked, self.steps, self.at, self.calls = self.rate, steps, 0, 0

    def step(self) -> None:
        """Move the schedule; the user calls this once an epoch."""
        self.at += 1
        self.rate = self.asked * min(1.0, self.at / self.steps)

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        return super().mask(x, rng)


class OtherBranchLater(Layer):
    """From call 500 on the coins are drawn another way, with the same law."""

    calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        if self.calls <= 500:
            return coins(rng, self.rate, x.shape[:2])
        return rng.random(x.shape[:2]) >= 1 - self.rate


class TurnsItsRows(Layer):
    """Fresh coins, with samples and channels moved on by two numbers that are drawn, too."""

    def mask(self, x: Any, rng: Any) -> Any:
        return np.roll(super().mask(x, rng), tuple(rng.integers(64, size=2)), axis=(0, 1))


REGISTER: Mapping[str, Implementation] = {
    "unusual.moved-by-its-user": Implementation(
        make="spatial_dropouts.unusual.schedules:MovedByItsUser",
        framework="numpy",
        default=False,
        summary="a schedule of the rate that only its user moves",
    ),
    "unusual.other-branch-later": Implementation(
        make="spatial_dropouts.unusual.schedules:OtherBranchLater",
        framework="numpy",
        default=False,
        summary="another branch from call 500 on, with the same law",
    ),
    "unusual.turns-its-rows": Implementation(
        make="spatial_dropouts.unusual.schedules:TurnsItsRows",
        framework="numpy",
        default=False,
        summary="fresh coins, samples and channels moved on by drawn numbers",
    ),
}
