"""Planted defects: ties that no common distance shows: mirrored samples, transposed squares, exclusive ors, single pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatial_dropouts.broken.base import Layer


class FarAntithetic(Layer):
    """Samples i and N - 1 - i are drawn from u and 1 - u, five channels apart, at rates other than one half."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if self.rate == 0.5 or n < 2:
            return super().mask(x, rng)
        u = rng.random((n, c))
        half = n // 2
        u[n - half :] = 1 - np.roll(u[:half][::-1], 5, axis=1)
        return np.asarray(u < self.rate)


class NegativeIndex(Layer):
    """Four in ten channels of sample -i are those of sample i, in reverse order."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        taken = rng.random(mask.shape) < 0.4
        for row in range(1, (len(mask) + 1) // 2):
            mask[-row] = np.where(taken[row], mask[row, ::-1], mask[-row])
        return mask


class SquareTransposed(Layer):
    """Where there are as many samples as channels, every second call transposes the mask of the call before."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.before: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.known is not rng:
            self.known, self.before = rng, None
        n, c = x.shape[:2]
        if n != c:
            return super().mask(x, rng)
        if self.before is not None and self.before.shape == (n, c):
            mask, self.before = self.before.T.copy(), None
            return mask
        self.before = super().mask(x, rng)
        return self.before.copy()


class SquareSymmetric(Layer):
    """Where there are as many samples as channels, channel j of sample i is channel i of sample j."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        if mask.shape[0] != mask.shape[1]:
            return mask
        upper = np.triu(mask)
        return upper | upper.T


class XorOfChannels(Layer):
    """At rate one half the last channel is the exclusive or of channel 1 and one in the middle."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        c = mask.shape[1]
        if self.rate == 0.5 and c >= 9:
            mask[:, -1] = mask[:, 1] ^ mask[:, c // 2 - 1]
        return mask


class XorOfSamples(Layer):
    """At rate one half the last sample is the exclusive or of all others."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        if self.rate == 0.5 and len(mask) >= 3:
            mask[-1] = np.bitwise_xor.reduce(mask[:-1], axis=0)
        return mask


class ShiftRegister(Layer):
    """At rate one half coins are the bits of a shift register of 61 places: b(t) = b(t - 5) xor b(t - 61)."""

    PLACES, TAP = 61, 5

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.known: Any = None
        self.register: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.rate != 0.5:
            return super().mask(x, rng)
        if self.known is not rng:
            self.known, self.register = rng, rng.random(self.PLACES) < 0.5
        size = x.shape[0] * x.shape[1]
        bits = np.empty(self.PLACES + size, bool)
        bits[: self.PLACES] = self.register
        for at in range(self.PLACES, len(bits), self.TAP):
            end = min(at + self.TAP, len(bits))
            bits[at:end] = bits[at - self.TAP : end - self.TAP] ^ bits[at - self.PLACES : end - self.PLACES]
        self.register = bits[size:].copy()
        return bits[self.PLACES :].reshape(x.shape[:2])


class FirstCopiesLast(Layer):
    """The first channel of a sample is the last one of the sample before."""

    def mask(self, x: Any, rng: Any) -> Any:
        mask = super().mask(x, rng)
        if mask.shape[1] > 1:
            mask[1:, 0] = mask[:-1, -1]
        return mask
