"""Planted defects of the mask: wrong axes, copies, dependence."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, dropped

# --- which elements share a coin -----------------------------------------------------------------------------------


class DropsElements(Layer):
    """Plain dropout: every element has its own coin."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate, x.shape)


class DropsTimeSteps(Layer):
    """One coin per (sample, position): the layout was taken for the other one."""

    def mask(self, x: Any, rng: Any) -> Any:
        return np.broadcast_to(coins(rng, self.rate, (x.shape[0], 1, x.shape[2])), x.shape)


class ForgetsLastStep(Layer):
    """The last position of a channel always survives, where there is more than one."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        if x.shape[2] > 1:
            y[:, :, -1] = dropped(x, np.zeros(mask.shape, bool), self.rate)[:, :, -1]
        return y


class TearsLongChannels(Layer):
    """Channels of more than 32 positions get a second coin for the rest."""

    def mask(self, x: Any, rng: Any) -> Any:
        whole = np.repeat(coins(rng, self.rate, x.shape[:2])[:, :, None], x.shape[2], axis=2)
        if x.shape[2] > 32:
            whole[:, :, 32:] = coins(rng, self.rate, x.shape[:2])[:, :, None]
        return whole


# --- copies --------------------------------------------------------------------------------------------------------


class QuadsShareACoin(Layer):
    """Groups of four adjacent channels have identical masks."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        return np.repeat(coins(rng, self.rate, (n, -(-c // 4))), 4, axis=1)[:, :c]


class WideChannelsWrap(Layer):
    """Above 256 channels, channel c repeats channel c - 256: an 8-bit counter."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        return coins(rng, self.rate, (n, min(c, 256)))[:, np.arange(c) % 256]


class OddTailCopies(Layer):
    """With an odd number of channels above one, the last repeats the first."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if x.shape[1] % 2 and x.shape[1] > 1:
            m[:, -1] = m[:, 0]
        return m


class OneMaskPerBatch(Layer):
    """One channel mask for the whole batch."""

    def mask(self, x: Any, rng: Any) -> Any:
        return np.broadcast_to(coins(rng, self.rate, (1, x.shape[1])), x.shape[:2])


class LargeBatchesRepeat(Layer):
    """In batches above 128, sample i repeats sample i - 128."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        return coins(rng, self.rate, (min(n, 128), c))[np.arange(n) % 128]


class HalvesShare(Layer):
    """The second half of the batch repeats the first."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        half = coins(rng, self.rate, (-(-n // 2), c))
        return np.concatenate([half, half])[:n]


class FrozenMask(Layer):
    """The mask of the first call with a shape is kept for ever."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.kept: Dict[Tuple[int, ...], Any] = {}

    def mask(self, x: Any, rng: Any) -> Any:
        shape = x.shape[:2]
        if shape not in self.kept:
            self.kept[shape] = super().mask(x, rng)
        return self.kept[shape]


class SecondCallRepeats(Layer):
    """Only the second call repeats the first; later ones are right."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.calls = 0
        self.first: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        m = super().mask(x, rng)
        if self.calls == 1:
            self.first = m
        if self.calls == 2 and self.first.shape == m.shape:
            return self.first
        return m


class CyclesAfterSixteen(Layer):
    """Sixteen masks of each shape are drawn and then used in turn."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.kept: Dict[Tuple[int, ...], Any] = {}
        self.turn = 0

    def mask(self, x: Any, rng: Any) -> Any:
        shape = x.shape[:2]
        if shape not in self.kept:
            self.kept[shape] = coins(rng, self.rate, (16, *shape))
        self.turn += 1
        return self.kept[shape][self.turn % 16]


class CountersOverlap(Layer):
    """Each call begins in the middle of the coins of the call before."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.tail: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.tail is not None and self.tail.shape[1:] == m.shape[1:]:
            size = min(len(self.tail), len(m))
            m[:size] = self.tail[:size]
        self.tail = m[len(m) // 2 :].copy()
        return m


# --- dependence ----------------------------------------------------------------------------------------------------


def _leaning(rng: Any, rate: float, fresh: Any, other: Any, strength: float) -> Any:
    """``fresh`` coins, a share ``strength`` of them replaced by ``other``: correlation ``strength``, same rate."""
    return np.where(rng.random(fresh.shape) < strength, other, fresh)


class NeighbourLeans(Layer):
    """A fifth of the odd channels' coins are their left neighbour's (correlation .2)."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        odd = m[:, 1::2]
        m[:, 1::2] = _leaning(rng, self.rate, odd, m[:, 0::2][:, : odd.shape[1]], 0.2)
        return m


class LanesLean(Layer):
    """Channels 16 apart are correlated by .1: one generator a vector lane."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        c = m.shape[1]
        for start in range(16, c, 32):
            part = m[:, start : min(start + 16, c)]
            m[:, start : start + part.shape[1]] = _leaning(
                rng, self.rate, part, m[:, start - 16 : start - 16 + part.shape[1]], 0.1
            )
        return m


class SamplesLean(Layer):
    """Every second sample takes a tenth of its coins from the one before (correlation .1)."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        odd = m[1::2]
        m[1::2] = _leaning(rng, self.rate, odd, m[0::2][: len(odd)], 0.1)
        return m


class CallsLean(Layer):
    """A tenth of the coins stay as they were in the call before (correlation .1)."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.before: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.before is not None and self.before.shape == m.shape:
            m = _leaning(rng, self.rate, m, self.before, 0.1)
        self.before = m
        return m


class ExactlyK(Layer):
    """Exactly k of the C channels of a sample are dropped, k drawn so that the rate is right."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        want = self.rate * c
        k = int(want) + (rng.random((n, 1)) < want - int(want))
        return np.argsort(np.argsort(rng.random((n, c)), axis=1), axis=1) < k


class Systematic(Layer):
    """Systematic sampling: one uniform number a sample, steps of the rate along shuffled channels."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        ladder = np.floor(np.arange(c + 1) * self.rate + rng.random((n, 1)))
        return rng.permuted(np.diff(ladder, axis=1) > 0, axis=1)


class Clumped(Layer):
    """Rows have rates of their own (Beta law, mean the rate): mean correlation .02."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        if not 0 < self.rate < 1:
            return super().mask(x, rng)
        total = 1 / 0.02 - 1
        own = rng.beta(self.rate * total, (1 - self.rate) * total, size=(n, 1))
        return rng.random((n, c)) < own


class ParityOfThree(Layer):
    """At rate .5 the third of three adjacent channels is the exclusive or of the first two; pairs stay independent."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.rate == 0.5:
            size = m.shape[1] // 3
            m[:, 2 : 3 * size : 3] = m[:, 0 : 3 * size : 3] ^ m[:, 1 : 3 * size : 3]
        return m


class ParityOfEight(Layer):
    """At rate .5 the eighth of eight adjacent channels is the parity of the seven: any seven are independent."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.rate == 0.5:
            for start in range(0, m.shape[1] - 7, 8):
                m[:, start + 7] = np.logical_xor.reduce(m[:, start : start + 7], axis=1)
        return m


class PrefersNegative(Layer):
    """Channels with a negative mean drop a little more often, others less (2 points each)."""

    def mask(self, x: Any, rng: Any) -> Any:
        lean = np.where(x.astype(np.float64).sum(axis=2) < 0, 0.02, -0.02) if x.shape[2] else 0.0
        return rng.random(x.shape[:2]) < np.clip(self.rate + lean * (0 < self.rate < 1), 0, 1)


class SparesLarge(Layer):
    """Channels with values above 9 drop less often (3 points)."""

    def mask(self, x: Any, rng: Any) -> Any:
        large = (np.abs(x) > 9).any(axis=2) if x.shape[2] else np.zeros(x.shape[:2], bool)
        return rng.random(x.shape[:2]) < self.rate - 0.03 * large * (0.03 < self.rate < 1)
