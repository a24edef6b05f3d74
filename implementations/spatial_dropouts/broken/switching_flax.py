"""Planted defects of how Flax modules are switched, each seen by one way of switching alone, with right twins."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Optional

import flax.linen
from flax import nnx

from spatial_dropouts.broken.base import valid
from spatial_dropouts.broken.switching_equinox import channels_last, masked


class LinenRight(flax.linen.Module):
    """The right twin: the flag of the call, else the one of the constructor."""

    rate: float
    deterministic: Optional[bool] = None

    def flag(self, x: Any, given: Optional[bool]) -> bool:
        """Whether this call is one of inference."""
        return bool(self.deterministic if given is None else given)

    def __call__(self, x: Any, deterministic: Optional[bool] = None) -> Any:
        valid(self.rate)
        if self.flag(x, deterministic):
            return x
        return masked(x, self.make_rng("dropout"), self.rate, channels_last(x))


class LinenBuiltInTraining(LinenRight):
    """The flag of the constructor is not looked at."""

    def flag(self, x: Any, given: Optional[bool]) -> bool:
        return bool(given)


class LinenKeptByPath(LinenRight):
    """As a part of another module it keeps, by its path and the input's shape, the mode of the first call."""

    first: ClassVar[Dict[Any, bool]] = {}

    def flag(self, x: Any, given: Optional[bool]) -> bool:
        now = super().flag(x, given)
        return self.first.setdefault((self.path, x.shape), now) if self.path else now


class NnxRight(nnx.Module):
    """The right twin: the flag of the call, else the attribute that the constructor, eval() and train() set."""

    def __init__(self, rate: float, deterministic: bool = False, *, rngs: Any) -> None:
        self.rate, self.rngs, self.deterministic = valid(rate), rngs, deterministic

    def __call__(self, x: Any, deterministic: Optional[bool] = None) -> Any:
        if self.flag(deterministic):
            return x
        return masked(x, self.rngs.dropout(), self.rate, channels_last(x))

    def flag(self, given: Optional[bool]) -> bool:
        """Whether this call is one of inference."""
        return self.deterministic if given is None else given


class NnxOwnEval(NnxRight):
    """Its eval() and train() set a flag of its own, which eval() of a model leaves alone."""

    def __init__(self, rate: float, deterministic: bool = False, *, rngs: Any) -> None:
        super().__init__(rate, deterministic, rngs=rngs)
        self.off = deterministic

    def eval(self, **attributes: Any) -> Any:
        self.off = True
        return super().eval(**attributes)

    def train(self, **attributes: Any) -> Any:
        self.off = False
        return super().train(**attributes)

    def flag(self, given: Optional[bool]) -> bool:
        return self.off if given is None else given


class NnxBuiltInTraining(NnxRight):
    """What the constructor is given is not kept."""

    def __init__(self, rate: float, deterministic: bool = False, *, rngs: Any) -> None:
        super().__init__(rate, rngs=rngs)
