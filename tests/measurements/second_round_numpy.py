"""A second round of layers written to slip through: NumPy, written before any of them was audited.

dropcheck selftest --part zoo --from tests/measurements/second_round_numpy.py --profile quick
"""

from __future__ import annotations

from typing import Any

import numpy as np

EXPECTED = {
    "TailRestarts": "mask.distinct-samples",
    "FusedAt4096": "mask.whole-channels",
    "BitsOfQuarters": "mask",
    "RatesOfTables": "rate",
    "FirstCallBuilds": ["mask", "rate"],
    "CounterSaturates": "mask.distinct-calls",
    "PaddingIsKept": "mask.ignores-values",
    "NegativeLeans": "mask.ignores-values",
    "MasksOfTheModule": "seed.instances",
    "RateSetIsLate": "rate.set-later",
    "LongRing": "mask",
    "OneRowInfers": "mode.inference",
    "ColumnsBeyond1024": "mask",
    "ByColumns": None,
    "Gaps": None,
    "Chunks": None,
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
            return self.infer(x, rng)
        if self.rate == 0:
            return x.copy()
        if self.known is not rng:  # a new seed: what a layer remembers begins anew
            self.known = rng
            self.begin()
        mask = self.mask(x, rng)
        wide = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
        if self.rate == 1:
            return np.where(wide, np.zeros((), x.dtype), x)
        kept = (x.astype(np.float64) / (1 - self.scale_rate())).astype(x.dtype)
        return np.where(wide, np.zeros((), x.dtype), kept)

    def begin(self) -> None:
        """Forget."""

    def scale_rate(self) -> float:
        return self.rate

    def infer(self, x: Any, rng: np.random.Generator) -> Any:
        return x.copy()

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return rng.random(x.shape[:2]) < self.rate


class TailRestarts(Base):
    """Rows are drawn in blocks of a thousand; what is left over takes the first rows again."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        n, c = x.shape[:2]
        whole = n // 1000 * 1000
        if not whole:
            return super().mask(x, rng)
        u = rng.random((whole, c))
        return np.concatenate([u, u[: n - whole]]) < self.rate


class FusedAt4096(Base):
    """A fused path for rows of 4096 elements shares decisions along channels."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if x.ndim == 3 and x.shape[1] * x.shape[2] == 4096:
            return np.broadcast_to(rng.random((x.shape[0], 1, x.shape[2])) < self.rate, x.shape)
        return super().mask(x, rng)


class BitsOfQuarters(Base):
    """Rates of a quarter and of three quarters are made of two random bits, one of them shared by two channels."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if self.rate not in (0.25, 0.75):
            return super().mask(x, rng)
        n, c = x.shape[:2]
        own = rng.random((n, c)) < 0.5
        shared = np.repeat(rng.random((n, (c + 1) // 2)) < 0.5, 2, axis=1)[:, :c]
        return own & shared if self.rate == 0.25 else own | shared


class RatesOfTables(Base):
    """The rate is looked up in a table of thousandths."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return rng.random(x.shape[:2]) < round(self.rate * 1000) / 1000


class FirstCallBuilds(Base):
    """The first call of a shape builds the layer and drops nothing."""

    def begin(self) -> None:
        self.shapes: set[Any] = set()

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        if x.shape not in self.shapes:
            self.shapes.add(x.shape)
            return np.zeros_like(mask)
        return mask


class CounterSaturates(Base):
    """Masks are drawn from a counter of calls that stops at 4095."""

    def begin(self) -> None:
        self.number, self.key = 0, None

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if self.key is None:
            self.key = int(rng.integers(1 << 62))
        self.number = min(4095, self.number + 1)
        return np.random.default_rng([self.key, self.number]).random(x.shape[:2]) < self.rate


class PaddingIsKept(Base):
    """Samples that are zero everywhere are skipped, and the mask of the others moves up."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        empty = ~np.any(x.reshape(len(x), -1), axis=1)
        if empty.any() and not empty.all():
            mask = mask[np.maximum(0, np.cumsum(~empty) - 1)]
        return mask


class NegativeLeans(Base):
    """Channels of negative sum drop a fifth more often, others a fifth less."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        total = x.reshape(*x.shape[:2], -1).astype(np.float64).sum(axis=2)
        lean = 0.2 * min(self.rate, 1 - self.rate)
        return rng.random(x.shape[:2]) < self.rate + np.where(total < 0, lean, np.where(total > 0, -lean, 0))


_MASKS: dict[Any, Any] = {}


class MasksOfTheModule(Base):
    """Uniforms are kept in the module by shape and number of the call, until another generator comes."""

    def begin(self) -> None:
        self.number = 0

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        self.number += 1
        key = (x.shape[:2], self.number)
        if _MASKS.get("generator") is not rng:
            _MASKS.clear()
            _MASKS["generator"] = rng
        if key not in _MASKS:
            _MASKS[key] = rng.random(x.shape[:2])
        return _MASKS[key] < self.rate


class RateSetIsLate(Base):
    """A rate that is set later reaches the mask at once and the scale only when the shape changes."""

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__(rate)
        self.shape: Any = None
        self.of_scale = self.rate

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if x.shape != self.shape:
            self.shape, self.of_scale = x.shape, self.rate
        return super().mask(x, rng)

    def scale_rate(self) -> float:
        return self.of_scale


class LongRing(Base):
    """Uniforms come from a ring of 196,615 numbers that is used again and again."""

    SIZE = 196_615

    def begin(self) -> None:
        self.ring: Any = None
        self.at = 0

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        if self.ring is None:
            self.ring = rng.random(self.SIZE)
        n, c = x.shape[:2]
        u = np.take(self.ring, np.arange(self.at, self.at + n * c), mode="wrap")
        self.at = (self.at + n * c) % self.SIZE
        return u.reshape(n, c) < self.rate


class OneRowInfers(Base):
    """Inference of a single sample takes the branch of training."""

    def infer(self, x: Any, rng: np.random.Generator) -> Any:
        if len(x) == 1 and 0 < self.rate < 1:
            return self(x, training=True, rng=rng)
        return x.copy()


class ColumnsBeyond1024(Base):
    """Channels from 1024 on take the decisions of the next sample, 1024 channels before."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        mask = super().mask(x, rng)
        n, c = mask.shape
        if c > 1024 and n > 1:
            more = min(1024, c - 1024)
            mask[:-1, 1024 : 1024 + more] = mask[1:, :more]
        return mask


class ByColumns(Base):
    """Right: numbers are drawn channel by channel."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        return self.rate > rng.random(x.shape[1::-1]).T


class Gaps(Base):
    """Right: the gaps between dropped channels are geometric."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        size = x.shape[0] * x.shape[1]
        mask = np.zeros(size, bool)
        if self.rate == 1:
            return ~mask.reshape(x.shape[:2])
        at = -1
        while at < size:
            steps = at + np.cumsum(rng.geometric(self.rate, int(size * self.rate) + 64), dtype=np.int64)
            mask[steps[steps < size]] = True
            at = int(steps[-1])
        return mask.reshape(x.shape[:2])


class Chunks(Base):
    """Right: rows are drawn a thousand at a time, as integers of 53 bits."""

    def mask(self, x: Any, rng: np.random.Generator) -> Any:
        n, c = x.shape[:2]
        parts = [rng.integers(1 << 53, size=(min(1000, n - at), c)) for at in range(0, n, 1000)]
        return (np.concatenate(parts) if parts else np.zeros((0, c))) < self.rate * (1 << 53)
