"""Correct layers that need a declaration: a source of their own, several things returned, one coin for the whole tensor."""

from __future__ import annotations

from typing import Any, ClassVar, Mapping, Tuple

import numpy as np

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern


def _probability(rate: float) -> float:
    if not 0 <= rate <= 1:  # NaN neither
        raise ValueError(f"a rate is a probability from 0 to 1, not {rate}")
    return rate


def _scaled(x: Any, kept: Any, rate: float) -> Any:
    if rate == 1:
        return np.zeros_like(x)
    return np.where(kept, (x.astype(np.float64) / (1 - rate)).astype(x.dtype), x.dtype.type(0))


class OwnSource:
    """Draws from a generator that all its objects share and that no seed of NumPy reaches."""

    generator: ClassVar[Any] = np.random.default_rng()

    def __init__(self, rate: float) -> None:
        self.rate = _probability(rate)

    @classmethod
    def seed(cls, number: int) -> None:
        """Seed the source of all objects."""
        cls.generator = np.random.default_rng(number)

    def __call__(self, x: Any, *, training: bool) -> Any:
        if not training or self.rate == 0:
            return x.copy()
        return _scaled(x, self.generator.random((*x.shape[:2], 1)) >= self.rate, self.rate)


class Pair:
    """Returns the output with its mask."""

    def __init__(self, rate: float) -> None:
        self.rate = _probability(rate)

    def __call__(self, x: Any, *, training: bool, rng: Any) -> Tuple[Any, Any]:
        if not training or self.rate == 0:
            return x.copy(), None
        kept = rng.random((*x.shape[:2], 1)) >= self.rate
        return _scaled(x, kept, self.rate), kept


def one_coin(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """All of a call or nothing of it."""
    _probability(rate)
    if not training or rate == 0:
        return x.copy()
    return _scaled(x, rng.random() >= rate, rate)


def three_channels(x: Any, rate: float, *, training: bool, rng: Any) -> Any:
    """A layer for colours: any other number of channels is refused."""
    if x.ndim != 3 or x.shape[1] != 3:
        raise ValueError(f"expected (n, 3, l), not {x.shape}")
    _probability(rate)
    if not training or rate == 0:
        return x.copy()
    return _scaled(x, rng.random((len(x), 3, 1)) >= rate, rate)


REGISTER: Mapping[str, Implementation] = {
    "unusual.own-source": Implementation(
        make="spatial_dropouts.unusual.declared:OwnSource",
        framework="numpy",
        seed=OwnSource.seed,
        default=False,
        summary="a source of its own, seeded by the function that it declares",
    ),
    "unusual.returns-a-pair": Implementation(
        make="spatial_dropouts.unusual.declared:Pair",
        framework="numpy",
        output=0,
        default=False,
        summary="returns a pair, of which it declares the first",
    ),
    "unusual.one-coin": Implementation(
        make="spatial_dropouts.unusual.declared:one_coin",
        framework="numpy",
        contract="n c l -> 1",
        default=False,
        summary="one coin a call, as declared",
    ),
    "unusual.three-channels": Implementation(
        make="spatial_dropouts.unusual.declared:three_channels",
        framework="numpy",
        contract=Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("generator",), sizes={"c": 3}),
        default=False,
        summary="takes three channels only, as declared",
    ),
}
