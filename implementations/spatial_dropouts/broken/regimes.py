"""Planted defects that live in one regime only: a size class, a later call, one position, a growing batch."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np

from spatial_dropouts.broken.base import Layer, coins, dropped, scaled

# --- one dtype -------------------------------------------------------------------------------------------------------


class EverythingDropsInFloat16(Layer):
    """In float16 the threshold rate * 65536 overflows to infinity: everything drops."""

    def mask(self, x: Any, rng: Any) -> Any:
        if x.dtype != np.float16:
            return super().mask(x, rng)
        with np.errstate(over="ignore"):
            threshold = np.float16(65536.0) * np.float16(self.rate)
        return rng.integers(0, 65536, x.shape[:2]) < threshold


class Float64Repeats(Layer):
    """In float64 only, the second half of the channels repeats the first."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        half = m.shape[1] // 2
        if x.dtype == np.float64 and half:
            m[:, half : 2 * half] = m[:, :half]
        return m


# --- sizes -----------------------------------------------------------------------------------------------------------


class OddChannelsLess(Layer):
    """With an odd number of channels above one, the last drops eight points less often."""

    def mask(self, x: Any, rng: Any) -> Any:
        u = rng.random(x.shape[:2])
        if x.shape[1] % 2 and x.shape[1] > 1 and 0.08 < self.rate < 1:
            u[:, -1] += 0.08
        return u < self.rate


class LargeBatchTailKept(Layer):
    """Samples from the 129th on are never dropped."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.rate < 1:
            m[128:] = False
        return m


class WideTailTears(Layer):
    """Above 512 channels, elements instead of channels are dropped."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate, x.shape if x.shape[1] > 512 else x.shape[:2])


class BatchOfOneFrozen(Layer):
    """Batches of one see one mask for ever."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.kept: Dict[Tuple[int, ...], Any] = {}

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        return self.kept.setdefault(m.shape, m) if len(m) == 1 else m


class NumelTailLess(Layer):
    """Where the number of coins is no multiple of four, all coins drop four points less often."""

    def mask(self, x: Any, rng: Any) -> Any:
        n, c = x.shape[:2]
        less = 0.04 if (n * c) % 4 and 0.04 < self.rate < 1 else 0.0
        return coins(rng, self.rate - less, (n, c))


class SmallRatesDoubled(Layer):
    """Rates below .02 drop twice as often."""

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate * (2 if self.rate < 0.02 else 1), x.shape[:2])


# --- calls -----------------------------------------------------------------------------------------------------------


class _Counted(Layer):
    """A layer that knows how many training calls it has had."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.calls = 0

    def mask(self, x: Any, rng: Any) -> Any:
        self.calls += 1
        return super().mask(x, rng)


class SecondCallUnscaled(_Counted):
    """Only the second call does not scale what it keeps."""

    def drop(self, x: Any, mask: Any) -> Any:
        return dropped(x, mask, self.rate, 1.0 if self.calls == 2 else None)


class HundredthCallFreezes(_Counted):
    """From the hundredth call on, the mask of a shape does not change any more."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.kept: Dict[Tuple[int, ...], Any] = {}

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        return self.kept.setdefault(m.shape, m) if self.calls >= 100 else m


class HundredthCallTears(_Counted):
    """From the hundredth call on, elements instead of channels are dropped."""

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        return coins(rng, self.rate, x.shape) if self.calls >= 100 else m


class GraphReplays(_Counted):
    """Two warm-up calls are right; then the call is captured, with its mask, and replayed."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.captured: Dict[Tuple[int, ...], Any] = {}

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        return self.captured.setdefault(m.shape, m) if self.calls > 2 else m


class RedrawnWhenInputChanges(Layer):
    """The mask is a node of a graph that is run again only when the input changes."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.seen: Any = None
        self.kept: Any = None

    def mask(self, x: Any, rng: Any) -> Any:
        if self.seen is None or not (x.shape == self.seen.shape and np.array_equal(x, self.seen)):
            self.seen, self.kept = x.copy(), super().mask(x, rng)
        return self.kept


class AfterInferenceRepeats(Layer):
    """Only the training call after an inference call repeats the mask of the call before it."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.last: Any = None
        self.inferred = False

    def infer(self, x: Any, rng: Any) -> Any:
        self.inferred = True
        return x.copy()

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if self.inferred and self.last is not None and self.last.shape == m.shape:
            m = self.last
        self.inferred, self.last = False, m
        return m


class AfterInferenceTears(Layer):
    """After the first inference call, elements instead of channels are dropped."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.inferred = False

    def infer(self, x: Any, rng: Any) -> Any:
        self.inferred = True
        return x.copy()

    def mask(self, x: Any, rng: Any) -> Any:
        return coins(rng, self.rate, x.shape if self.inferred else x.shape[:2])


# --- positions of the shared axis ------------------------------------------------------------------------------------


class LastStepScaledTwice(Layer):
    """The last of several positions of a channel is scaled twice."""

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        if x.shape[2] > 1:
            y[:, :, -1] = scaled(y[:, :, -1], self.rate)
        return y


class HundredthPositionTorn(Layer):
    """Position 100 of a channel has a coin of its own."""

    def mask(self, x: Any, rng: Any) -> Any:
        whole = np.repeat(super().mask(x, rng)[:, :, None], x.shape[2], axis=2)
        if x.shape[2] > 100:
            whole[:, :, 100] = coins(rng, self.rate, x.shape[:2])
        return whole


# --- growing and shrinking batches -----------------------------------------------------------------------------------


class GrownRowsCopy(Layer):
    """Rows beyond the largest batch so far repeat the first row, the first time that they are asked for."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.largest = 0

    def mask(self, x: Any, rng: Any) -> Any:
        m = super().mask(x, rng)
        if 0 < self.largest < len(m):
            m[self.largest :] = m[0]
        self.largest = max(self.largest, len(m))
        return m


class SmallerBatchStale(Layer):
    """The buffer has the size of the largest batch: a smaller one is written to its end and read from its beginning."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.buffers: Dict[Any, Any] = {}

    def drop(self, x: Any, mask: Any) -> Any:
        y = super().drop(x, mask)
        key = (y.shape[1:], y.dtype.str)
        buffer = self.buffers.get(key)
        if buffer is None or len(buffer) < len(y):
            buffer = self.buffers[key] = np.zeros_like(y)
        buffer[len(buffer) - len(y) :] = y
        return buffer[: len(y)].copy()
