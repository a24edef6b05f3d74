"""The oracle: spatial dropout in plain NumPy, as right as we know how, and as slow as that makes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.contract.promise import Pattern


class Reference:
    """Inverted dropout with one coin per index of the pattern's coin axes.

    The generator that is given only hands over a key; the coins come from Philox (Salmon et al., SC 2011), counter based:
    streams of different keys are unrelated by construction, and nothing that is drawn elsewhere can shift them. A coin
    compares a full 53-bit uniform number with the rate in float64, whatever the dtype of the input.
    """

    def __init__(self, rate: float, pattern: str = "n c l -> n c") -> None:
        if not 0 <= rate <= 1:  # written so, NaN is refused too
            raise ValueError(f"rate is a probability from 0 to 1, not {rate!r}")
        self.rate = float(rate)
        self.pattern = Pattern.parse(pattern)

    def __call__(self, x: Any, *, training: bool, rng: np.random.Generator) -> Any:
        """Drop channels of ``x`` (shape as in the pattern) in training; a copy of ``x`` in inference."""
        x = np.asarray(x)
        if not training or self.rate == 0:
            return x.copy()
        dropped = self.coins(self.pattern.noise_shape(x.shape), rng)
        return np.where(dropped, np.zeros((), x.dtype), self.scaled(x))

    def coins(self, shape: tuple, rng: np.random.Generator) -> Any:  # type: ignore[type-arg]
        """True where a coin drops."""
        key = rng.integers(0, 2**64, size=2, dtype=np.uint64)
        uniform = np.random.Generator(np.random.Philox(key=key)).random(shape)
        return uniform < self.rate

    def scaled(self, x: Any) -> Any:
        """x / (1 - rate): divided in float64 and rounded once to the dtype of x (twice for float64 itself)."""
        if self.rate == 1:
            return np.zeros_like(x)
        with np.errstate(over="ignore", invalid="ignore"):
            return (x.astype(np.float64) / (1.0 - self.rate)).astype(x.dtype)
