"""Planted defects of how Equinox modules are switched, each seen by one way of switching alone, with a right twin."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import equinox
import jax
import jax.numpy as jnp

from spatial_dropouts.broken.base import valid


def masked(x: Any, key: Any, rate: float, coins: Tuple[int, ...]) -> Any:
    """Whole channels dropped: ``coins`` is the shape of x with 1 for every axis that shares a coin."""
    if not rate:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, coins)
    scale = 1 / (1 - rate) if rate < 1 else 1.0
    return jnp.where(keep, x * jnp.asarray(scale, x.dtype), jnp.zeros((), x.dtype))


def channels_last(x: Any) -> Tuple[int, ...]:
    """The shape of the coins of a batch with its channels on the last axis."""
    return (x.shape[0],) + (1,) * (x.ndim - 2) + (x.shape[-1],)


class Right(equinox.Module):
    """The right twin, for samples ``c l``: the flag of the call, else the attribute, of ``inference_mode`` or the constructor."""

    rate: float
    inference: bool

    def __init__(self, rate: float, inference: bool = False) -> None:
        self.rate = valid(rate)
        self.inference = inference

    def flag(self, given: Optional[bool]) -> bool:
        """Whether this call is one of inference."""
        return self.inference if given is None else given

    def __call__(self, x: Any, *, key: Any = None, inference: Optional[bool] = None) -> Any:
        return x if self.flag(inference) else masked(x, key, self.rate, (x.shape[0],) + (1,) * (x.ndim - 1))


class CopiedFlag(Right):
    """A copy of the attribute decides, which ``equinox.nn.inference_mode`` does not set."""

    off: bool

    def __init__(self, rate: float, inference: bool = False) -> None:
        super().__init__(rate, inference)
        self.off = inference

    def flag(self, given: Optional[bool]) -> bool:
        return self.off if given is None else given


class BuiltInTraining(Right):
    """What the constructor is given is not kept."""

    def __init__(self, rate: float, inference: bool = False) -> None:
        super().__init__(rate)


class CallNotAsked(Right):
    """The attribute alone decides, whatever the call is given."""

    def flag(self, given: Optional[bool]) -> bool:
        return self.inference
