"""A third round of layers written to slip through: NumPy, written before any of them was audited.

dropcheck selftest --part zoo --from tests/measurements/third_round_numpy.py --profile quick
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dropcheck import Contract, Implementation, Pattern

EXPECTED = {
    "OffsetTooShort": "mask",
    "GridStride": "mask",
    "SometimesTheLast": "mask.distinct-calls",
    "GrowingBuffer": ["form.batch-change", "mask"],
    "Twentieths": "rate",
    "Clamped": "rate",
    "WideAntithetic": "mask",
    "EqualSamples": "mask",
    "LargeValuesStay": "mask.ignores-values",
    "BatchIsLength": "mask.whole-channels",
    "WideTail": "mask",
    "LongTail": "mask.whole-channels",
    "WarmStart": ["seed.instances", "mask"],
    "InfersInChunks": "mode.inference",
    "BitWindows": "mask",
    "Streams256": "seed",
    "SingleAntithetic": "mask",
    "OddLast": "rate.per-sample",
    "Butterfly": "mask",
    "shared_by_contract": None,
    "CountsCalls": None,
    "BufferOfNumbers": None,
    "OwnCopy": None,
    "grid_declared": None,
}


class Base:
    """A right layer ``n c l -> n c``; the others change one thing."""

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is a probability, not {rate!r}")
        self.rate = float(rate)
        self.known: Any = None

    def __call__(self, x: Any, *, training: bool, rng: np.random.Generator) -> Any:
        if not training:
            return self.infer(x)
        if self.rate == 0:
            return x.copy()
        if self.known is not rng:  # a new seed: what a layer remembers begins anew
            self.known = rng
            self.begin(rng)
        mask = self.mask(x, rng)
        wide = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
        if self.rate == 1:
            return np.where(wide, np.zeros((), x.dtype), x)
        kept = (x.astype(np.float64) / (1 - self.scale_rate())).astype(x.dtype)
        return np.where(wide, np.zeros((), x.dtype), kept)

    def begin(self, rng: np.random.Generator) -> None:
        """Forget."""

    def scale_rate(self) -> float:
        return self.rate

    def infer(self, x: Any) -> Any:
        return x.copy()

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return rng.random(x.shape[:2]) < self.rate


class _Keyed(Base):
    """Numbers come from a key of the seed and a counter of the layer."""

    def begin(self, rng: np.random.Generator) -> None:
        self.key = rng.integers(1 << 62, size=2, dtype=np.uint64)
        self.at = 0

    def numbers(self, size: int) -> Any:
        return np.random.Generator(np.random.Philox(key=self.key, counter=self.at // 4)).random(size)


class OffsetTooShort(_Keyed):
    """Rows of 2, 6, 10, ... channels use two of four lanes, but the counter moves on by half of what was used."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        n, c = x.shape[:2]
        u = self.numbers(n * c).reshape(n, c)
        used = n * c // 2 if c % 4 == 2 else n * c
        self.at += (used + 3) // 4 * 4
        return u < self.rate


class GridStride(Base):
    """160 blocks of 1024 threads take two numbers each; in longer calls they begin again."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        n, c = x.shape[:2]
        u = rng.random(n * c)
        whole = 160 * 1024 * 2
        if n * c > whole:
            u[whole:] = np.resize(u[:whole], n * c - whole)
        return u.reshape(n, c) < self.rate


class SometimesTheLast(Base):
    """Every 1511th call takes the mask of the call before it."""

    def begin(self, rng: np.random.Generator) -> None:
        self.calls = 0
        self.last: Any = None

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        self.calls += 1
        if self.calls % 1511 == 0 and self.last is not None and self.last.shape == x.shape[:2]:
            return self.last
        self.last = super().mask(x, rng)
        return self.last


class GrowingBuffer(Base):
    """A buffer of numbers is filled anew if a call needs more or as much; smaller calls walk through it, and around."""

    def begin(self, rng: np.random.Generator) -> None:
        self.buffer = rng.random(0)
        self.at = 0

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        n, c = x.shape[:2]
        if n * c >= len(self.buffer):
            self.buffer = rng.random(n * c)
            self.at = 0
            return self.buffer.reshape(n, c) < self.rate
        u = np.take(self.buffer, np.arange(self.at, self.at + n * c), mode="wrap")
        self.at += n * c
        return u.reshape(n, c) < self.rate


class Twentieths(Base):
    """Rates above a tenth are rounded to multiples of .05."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        rate = round(self.rate * 20) / 20 if self.rate > 0.1 else self.rate
        return rng.random(x.shape[:2]) < rate


class Clamped(Base):
    """Rates are at most .97, in mask and scale."""

    def scale_rate(self) -> float:
        return min(self.rate, 0.97)

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return rng.random(x.shape[:2]) < (self.rate if self.rate == 1 else self.scale_rate())


class WideAntithetic(Base):
    """In float64 the second half of a batch of 24 samples or more takes 1 - u of the first half."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        n, c = x.shape[:2]
        if x.dtype != np.float64 or n < 24 or n % 2:
            return super().mask(x, rng)
        u = rng.random((n // 2, c))
        return np.concatenate([u, 1 - u]) < self.rate


class EqualSamples(Base):
    """Work is done once for neighbouring samples that are equal, if they are not constant."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        for i in range(1, min(len(x), 64)):
            row = x[i]
            if row.size and row.flat[0] != row.flat[-1] and np.array_equal(row, x[i - 1]):
                mask[i] = mask[i - 1]
        return mask


class LargeValuesStay(Base):
    """Channels with a value above 3000 are outliers, and stay."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        if x.size:
            mask &= np.abs(x).reshape(*x.shape[:2], -1).max(axis=2) <= 3000
        return mask


class BatchIsLength(Base):
    """Where batch and length are equal (eleven or more), the input is taken for time-major."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if x.ndim == 3 and x.shape[0] == x.shape[2] >= 11:
            return np.broadcast_to((rng.random((x.shape[1], x.shape[2])) < self.rate)[None], x.shape)
        return super().mask(x, rng)


class WideTail(Base):
    """Beyond 3072 channels, what is left over repeats the beginning of the row."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        c = x.shape[1]
        if c > 3072:
            whole = c // 1024 * 1024
            mask[:, whole:] = mask[:, : c - whole]
        return mask


class LongTail(Base):
    """Beyond 1500 positions, the last ones (modulo 16) are kept."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        if x.ndim != 3 or x.shape[2] <= 1500 or self.rate == 1:
            return mask
        wide = np.repeat(mask[:, :, None], x.shape[2], axis=2)
        wide[:, :, x.shape[2] // 16 * 16 :] = False
        return wide


class WarmStart(Base):
    """The first call of a layer takes the mask that another layer has left for this shape and rate."""

    left: ClassVar[dict[Any, Any]] = {}

    def begin(self, rng: np.random.Generator) -> None:
        self.fresh = True

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        key = (x.shape, self.rate)
        mask = super().mask(x, rng)
        if self.fresh and key in self.left:
            owner, old = self.left[key]
            if owner != id(self):
                mask = old
        self.fresh = False
        self.left[key] = (id(self), mask)
        return mask


class InfersInChunks(Base):
    """Inference of more than 700 samples works on chunks of 256, and loses the last one."""

    def infer(self, x: Any) -> Any:
        y = x.copy()
        if len(x) > 700:
            y[len(x) // 256 * 256 :] = 0
        return y


class BitWindows(Base):
    """Rates 1/8, 1/16, ... are made of windows of bits that overlap."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        bits = next((k for k in range(3, 9) if self.rate == 2.0**-k), None)
        if bits is None:
            return super().mask(x, rng)
        n, c = x.shape[:2]
        one = rng.random((n, c + bits)) < 0.5
        mask = one[:, :c]
        for i in range(1, bits):
            mask = mask & one[:, i : c + i]
        return mask


class Streams256(Base):
    """The seed chooses one of 256 streams."""

    def begin(self, rng: np.random.Generator) -> None:
        self.own = np.random.default_rng(int(rng.integers(256)))

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return self.own.random(x.shape[:2]) < self.rate


class SingleAntithetic(Base):
    """Calls with one sample come in pairs, u and 1 - u."""

    def begin(self, rng: np.random.Generator) -> None:
        self.last: Any = None

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if len(x) != 1:
            return super().mask(x, rng)
        if self.last is not None and self.last.shape == x.shape[:2]:
            u, self.last = 1 - self.last, None
        else:
            u = self.last = rng.random(x.shape[:2])
        return u < self.rate


class OddLast(Base):
    """The last sample of an odd batch of 33 or more has half of the rate."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        u = rng.random(x.shape[:2])
        if len(x) >= 33 and len(x) % 2 and self.rate < 1:
            u[-1] *= 2
        return u < self.rate


class Butterfly(Base):
    """With a multiple of eight channels and 16 samples or more, a sample is the one before with neighbours exchanged."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        n, c = x.shape[:2]
        if n >= 16 and c % 8 == 0:
            mask[1 : n // 2 * 2 : 2] = mask[0 : n // 2 * 2 : 2][:, np.arange(c) ^ 1]
        return mask


class _Shared(Base):
    """Right: one mask of the channels for the whole batch, as its contract says."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        one = rng.random((1, x.shape[1])) < self.rate
        return np.broadcast_to(one, x.shape[:2])


shared_by_contract = Implementation(make=_Shared, framework="numpy", contract=Contract(Pattern.parse("n c l -> c")))


class CountsCalls(_Keyed):
    """Right: numbers come from a key and the number of the call."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        self.at += 1
        stream = np.random.Philox(key=self.key, counter=[0, self.at, 0, 0])
        return np.random.Generator(stream).random(x.shape[:2]) < self.rate


class BufferOfNumbers(Base):
    """Right: numbers are drawn 65,536 at a time, and each is used once."""

    def begin(self, rng: np.random.Generator) -> None:
        self.buffer = rng.random(0)

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        size = x.shape[0] * x.shape[1]
        while len(self.buffer) < size:
            self.buffer = np.concatenate([self.buffer, rng.random(1 << 16)])
        u, self.buffer = self.buffer[:size], self.buffer[size:]
        return u.reshape(x.shape[:2]) < self.rate


class OwnCopy(Base):
    """Right: works in place, on a copy of its own that it returns."""

    def __call__(self, x: Any, *, training: bool, rng: np.random.Generator) -> Any:
        y = x.copy()
        if training and self.rate:
            drop = rng.random(x.shape[:2]) < self.rate
            if self.rate < 1:
                y /= x.dtype.type(1 - self.rate)
            y[drop] = 0
        return y


class _Bytes(Base):
    """Right: the rate is a number of 256ths, as its contract says."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return rng.integers(256, size=x.shape[:2]) < round(self.rate * 256)


grid_declared = Implementation(
    make=_Bytes, framework="numpy", contract=Contract(Pattern.parse("n c l -> n c"), grid=1 / 256)
)
