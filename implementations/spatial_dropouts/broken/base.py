"""The right parts that defects share, so that each planted defect shows nothing but itself."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np


def valid(rate: float) -> float:
    """The rate, or ValueError; written so, NaN is refused too."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is a probability from 0 to 1, not {rate!r}")
    return float(rate)


def coins(rng: np.random.Generator, rate: Any, shape: Tuple[int, ...]) -> Any:
    """True where a coin drops; ``rate`` is one number, or an array that broadcasts over ``shape``."""
    return rng.random(shape) < rate


def scaled(x: Any, rate: float, factor: Optional[float] = None) -> Any:
    """x / (1 - rate), computed in float64 and rounded once; or x times another factor."""
    if factor is None:
        factor_free = np.zeros_like(x) if rate == 1 else (x.astype(np.float64) / (1 - rate)).astype(x.dtype)
        return factor_free
    return (x.astype(np.float64) * factor).astype(x.dtype)


def dropped(x: Any, mask: Any, rate: float, factor: Optional[float] = None) -> Any:
    """Kept values scaled, elements under the mask (broadcast over trailing axes) 0."""
    wide = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)) if mask.ndim < x.ndim else mask
    return np.where(wide, np.zeros((), x.dtype), scaled(x, rate, factor))


class Layer:
    """A right NumPy layer with state, ``n c l -> n c``; defects override one method."""

    def __init__(self, rate: float) -> None:
        self.rate = valid(rate)

    def __call__(self, x: Any, *, training: bool, rng: np.random.Generator) -> Any:
        if not training:
            return self.infer(x, rng)
        if self.rate == 0:
            return x.copy()
        return self.drop(x, self.mask(x, rng))

    def infer(self, x: Any, rng: np.random.Generator) -> Any:
        return x.copy()

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return coins(rng, self.rate, x.shape[:2])

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, self.rate)


class OwnGenerator(Layer):
    """A layer that draws from a generator of its own, derived once from each one that it is given."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.own: Any = None

    def derive(self, rng: np.random.Generator) -> np.random.Generator:
        """The generator to draw from; the right one is the given one."""
        return rng

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if self.known is not rng:
            self.known, self.own = rng, self.derive(rng)
        return coins(self.own, self.rate, x.shape[:2])


def turn(rng: Any) -> int:
    """How many streams were derived from the generator before: another for each layer, and copy, that shares it."""
    before = int(rng.bit_generator.seed_seq.n_children_spawned)
    rng.bit_generator.seed_seq.spawn(1)
    return before


def entropy(rng: Any) -> int:
    """The integer that the generator was seeded with."""
    return int(rng.bit_generator.seed_seq.entropy)
