"""Planted defects of how Haiku modules are switched, which has a flag of the caller's alone, with right twins."""

from __future__ import annotations

from typing import Any, Optional

import haiku

from spatial_dropouts.broken.base import valid
from spatial_dropouts.broken.switching_equinox import channels_last, masked


class Right(haiku.Module):
    """The right twin: the flag of the call, else the one of the constructor."""

    def __init__(self, rate: float, is_training: bool = True) -> None:
        super().__init__()
        self.rate, self.is_training = valid(rate), is_training

    def __call__(self, x: Any, is_training: Optional[bool] = None) -> Any:
        training = self.is_training if is_training is None else is_training
        return masked(x, haiku.next_rng_key(), self.rate, channels_last(x)) if training else x


class BuiltInTraining(Right):
    """What the constructor is given is not kept."""

    def __init__(self, rate: float, is_training: bool = True) -> None:
        super().__init__(rate)


class RightByConstructor(haiku.Module):
    """The right twin: the constructor alone takes the flag."""

    def __init__(self, rate: float, is_training: bool = True) -> None:
        super().__init__()
        self.rate, self.is_training = valid(rate), is_training

    def __call__(self, x: Any) -> Any:
        return masked(x, haiku.next_rng_key(), self.rate, channels_last(x)) if self.is_training else x


class AlwaysTraining(RightByConstructor):
    """The constructor alone takes the flag, and it is not kept."""

    def __init__(self, rate: float, is_training: bool = True) -> None:
        super().__init__(rate)
