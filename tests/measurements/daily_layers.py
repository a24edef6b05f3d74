"""Layers with the defects of daily use, written without looking at the checks that were made for them.

    dropcheck selftest --part zoo --from tests/measurements/daily_layers.py --profile quick

Each is a spatial dropout with one branch that real code has: for a size, a rate, a number of calls, a value, a setting.
"""

import math
from typing import ClassVar

import torch
from torch import nn

EXPECTED = {
    "Good": None,
    "ClassCache": "seed.instances",
    "PairedInstances": "seed.instances",
    "RateFrozenScale": "rate.set-later",
    "BackwardUsesLatest": "gradient.two-passes",
    "Pow2Fast": "mask",
    "Batch32": "mask",
    "SquareAxes": "mask",
    "SquareCL": "mask",
    "Wide": "mask",
    "LongTail": "scale",
    "BigCall": "mask",
    "Huge": ["mask", "rate"],
    "BigBatch": "mask",
    "Ring": "mask.distinct-calls",
    "EveryThousandth": ["mask", "rate"],
    "Schedule": ["mask", "rate"],
    "Table": "rate",
    "Clamp99": "rate",
    "Clamp1e4": "rate",
    "ZeroChannels": "mask.ignores-values",
    "EqualSamples": "mask.ignores-values",
    "HashValues": ["mask", "seed"],
    "InferBig": "mode.inference",
    "Thread": "mode.threads",
    "InferenceMode": "mode.settings",
    "NoGrad": ["mode.settings", "scale"],
    "DoubleDefault": "mode.settings",
    "Deterministic": "mode.settings",
    "Pickled": "form.copies",
    "FlatBlock": "mask",
    "CallKey12": ["mask", "seed"],
    "Expanded": "gradient.cotangents",
}


def chan(x, p):
    m = torch.rand(x.shape[0], x.shape[1], *[1] * (x.dim() - 2), device=x.device) >= p
    return m


class Base(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be in [0, 1], got {p}")
        self.p = p

    def mask(self, x):
        return chan(x, self.p)

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return x * 0.0 if torch.isfinite(x).all() else torch.zeros_like(x)
        return torch.where(self.mask(x), x / (1 - self.p), torch.zeros((), dtype=x.dtype))


class Good(Base):
    """Right."""


_CACHE: dict[object, torch.Tensor] = {}


class ClassCache(Base):
    """Masks are kept in the class by shape and number of the call."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.n = 0

    def mask(self, x):
        self.n += 1
        k = (tuple(x.shape[:2]), self.n, self.p)
        if len(_CACHE) > 64:
            _CACHE.clear()
        if k not in _CACHE:
            _CACHE[k] = chan(x, self.p)
        return _CACHE[k]


class PairedInstances(Base):
    """Each instance has a generator of its own, and all of one seed."""

    made = 0

    def __init__(self, p=0.5):
        super().__init__(p)
        PairedInstances.made += 1
        self.g = None

    def mask(self, x):
        if self.g is None:
            self.g = torch.Generator()
            self.g.manual_seed(torch.initial_seed() % 2**31)
        return torch.rand(x.shape[0], x.shape[1], *[1] * (x.dim() - 2), generator=self.g) >= self.p


class RateFrozenScale(Base):
    """Scale computed at construction."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.s = 1 / (1 - p) if p < 1 else 0.0

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return torch.zeros_like(x)
        return torch.where(self.mask(x), x * self.s, torch.zeros((), dtype=x.dtype))


class BackwardUsesLatest(Base):
    """Mask kept on the layer."""

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return torch.where(torch.zeros_like(x, dtype=torch.bool), x, 0.0)
        layer = self
        layer.m = self.mask(x)

        class Fn(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return torch.where(layer.m, x / (1 - layer.p), torch.zeros((), dtype=x.dtype))

            @staticmethod
            def backward(ctx, g):
                return torch.where(layer.m, g / (1 - layer.p), torch.zeros((), dtype=g.dtype))

        return Fn.apply(x)


class Pow2Fast(Base):
    """C = 256 or 512 or 1024: draws C/2 and repeats."""

    def mask(self, x):
        c = x.shape[1]
        if c >= 256 and c & c - 1 == 0:
            m = torch.rand(x.shape[0], c // 2, *[1] * (x.dim() - 2)) >= self.p
            return torch.cat([m, m], 1)
        return chan(x, self.p)


class Batch32(Base):
    """N = 32 exactly: one mask for all."""

    def mask(self, x):
        m = chan(x, self.p)
        return m[:1].expand_as(m) if x.shape[0] == 32 else m


class SquareAxes(Base):
    """N == C: transposes by guess (drops samples)."""

    def mask(self, x):
        if x.shape[0] == x.shape[1]:
            return (torch.rand(x.shape[0], *[1] * (x.dim() - 1)) >= self.p).expand(
                x.shape[0], x.shape[1], *[1] * (x.dim() - 2)
            )
        return chan(x, self.p)


class SquareCL(Base):
    """C == L: drops positions rather than channels."""

    def mask(self, x):
        if x.dim() == 3 and x.shape[1] == x.shape[2]:
            return torch.rand(x.shape[0], 1, x.shape[2]) >= self.p
        return chan(x, self.p)


class Wide(Base):
    """C above 2048: 32-bit word of mask repeated."""

    def mask(self, x):
        m = chan(x, self.p)
        if x.shape[1] > 2048:
            m = torch.cat([m[:, :2048], m[:, : x.shape[1] - 2048]], 1) if x.shape[1] <= 4096 else m
        return m


class LongTail(Base):
    """L >= 512 with a tail: tail is not scaled."""

    def forward(self, x):
        y = super().forward(x)
        if self.training and x.dim() == 3 and (x.shape[2] > 512) and x.shape[2] % 8 and (self.p > 0):
            k = x.shape[2] // 8 * 8
            y = torch.cat([y[..., :k], torch.where(y[..., k:] != 0, x[..., k:], torch.zeros((), dtype=x.dtype))], -1)
        return y


class BigCall(Base):
    """More than 2^18 coins in a call: repeats the first block."""

    def mask(self, x):
        m = chan(x, self.p)
        n = m.numel()
        if n > 2**18:
            f = m.reshape(-1).clone()
            k = 2**18
            f[k:] = f[: n - k] if n <= 2 * k else f[k:]
            m = f.reshape(m.shape)
        return m


class Huge(Base):
    """Over 2^22 elements: in chunks, last chunk undropped."""

    def mask(self, x):
        m = chan(x, self.p)
        if x.numel() > 2**22:
            m = m.clone()
            m[-(x.shape[0] // 8) :] = True
        return m


class BigBatch(Base):
    """Batch above 3000: rest gets a mask of the first."""

    def mask(self, x):
        m = chan(x, self.p)
        if x.shape[0] > 3000:
            m = m.clone()
            m[3000:] = m[: x.shape[0] - 3000] if x.shape[0] <= 6000 else m[3000:]
        return m


class Ring(Base):
    """Ring of 1000 masks for small shapes."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.ring = {}
        self.i = 0

    def mask(self, x):
        if x.shape[0] * x.shape[1] > 256:
            return chan(x, self.p)
        k = (*tuple(x.shape[:2]), x.dim())
        r = self.ring.setdefault(k, [])
        self.i += 1
        if len(r) < 1000:
            r.append(chan(x, self.p))
            return r[-1]
        return r[self.i % 1000]


class EveryThousandth(Base):
    """Every 1000th call drops nothing."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.i = 0

    def mask(self, x):
        self.i += 1
        return torch.ones_like(chan(x, self.p)) if self.i % 1000 == 0 else chan(x, self.p)


class Schedule(Base):
    """From call 5000 on twice the rate."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.i = 0

    def mask(self, x):
        self.i += 1
        return chan(x, self.p if self.i < 5000 else self.p / 2)


class Table(Base):
    """2 random bits a coin at p = .25 / .75; .2 -> .1875."""

    def mask(self, x):
        if self.p in (0.2, 0.25, 0.75):
            k = math.floor(self.p * 16)
            return torch.randint(0, 16, (x.shape[0], x.shape[1], *[1] * (x.dim() - 2))) >= k
        return chan(x, self.p)


class Clamp99(Base):
    """Rates above .95 are clamped in the mask."""

    def mask(self, x):
        return chan(x, min(self.p, 0.95))


class Clamp1e4(Base):
    """Rates below .0005 do nothing."""

    def mask(self, x):
        return chan(x, self.p if self.p >= 0.0005 else 0.0)


class ZeroChannels(Base):
    """Zero channels are not drawn: stream is moved on only by live channels, at the rate of live."""

    def mask(self, x):
        m = chan(x, self.p)
        live = (x.reshape(x.shape[0], x.shape[1], -1) != 0).any(-1)
        if bool((~live).any()):
            m = m.clone()
            m[~live] = True
            k = int((~live).sum() * self.p)
            idx = (m & live.reshape(m.shape)).nonzero()[:k]
            for t in idx:
                m[tuple(t)] = False
        return m


class EqualSamples(Base):
    """Deduplicates equal samples."""

    def mask(self, x):
        m = chan(x, self.p)
        if x.shape[0] > 1 and bool((x == x[:1]).all()):
            return m[:1].expand_as(m)
        return m


class HashValues(Base):
    """Seed is a hash of the input."""

    def mask(self, x):
        g = torch.Generator()
        g.manual_seed(int(x.detach().double().sum().item() * 1000.0) % 2**31 + torch.initial_seed() % 1000)
        return torch.rand(x.shape[0], x.shape[1], *[1] * (x.dim() - 2), generator=g) >= self.p


class InferBig(Base):
    """Inference scaled in batches above 512."""

    def forward(self, x):
        if not self.training and x.shape[0] > 512:
            return x * 1.001
        return super().forward(x)


class Thread(Base):
    """Mask on a shared slot between threads."""

    slot: ClassVar[torch.Tensor | None] = None

    def mask(self, x):
        Thread.slot = chan(x, self.p)
        for _ in range(2000):
            continue
        s = Thread.slot
        return s if s.shape[:2] == x.shape[:2] and s.dim() == x.dim() else chan(x, self.p)


class InferenceMode(Base):
    """Under inference_mode, training call drops per element."""

    def mask(self, x):
        if torch.is_inference_mode_enabled():
            return torch.rand_like(x, dtype=torch.float32) >= self.p
        return chan(x, self.p)


class NoGrad(Base):
    """Under no_grad no scaling."""

    def forward(self, x):
        y = super().forward(x)
        return (
            y * (1 - self.p)
            if self.training
            and (not torch.is_grad_enabled())
            and (not torch.is_inference_mode_enabled())
            and (0 < self.p < 1)
            else y
        )


class DoubleDefault(Base):
    """Default dtype leaks."""

    def forward(self, x):
        y = super().forward(x)
        return y.to(torch.get_default_dtype()) if self.training and torch.get_default_dtype() == torch.float64 else y


class Deterministic(Base):
    """Deterministic algorithms: frozen mask."""

    def mask(self, x):
        if torch.are_deterministic_algorithms_enabled():
            g = torch.Generator()
            g.manual_seed(0)
            return torch.rand(x.shape[0], x.shape[1], *[1] * (x.dim() - 2), generator=g) >= self.p
        return chan(x, self.p)


class Pickled(Base):
    """Rate is lost in state."""

    def __getstate__(self):
        d = dict(self.__dict__)
        d.pop("p")
        return d

    def __setstate__(self, d):
        self.__dict__.update(d)
        self.p = 0.5


class FlatBlock(Base):
    """Block of 2^16 coins repeats at an offset that is no row start."""

    def mask(self, x):
        m = chan(x, self.p)
        n = m.numel()
        if n > 2**16 + 7777 + 4096:
            f = m.reshape(-1).clone()
            f[2**16 + 77 : 2**16 + 77 + 4096] = f[13 : 13 + 4096]
            m = f.reshape(m.shape)
        return m


class CallKey12(Base):
    """Calls keyed by 12 bits."""

    def __init__(self, p=0.5):
        super().__init__(p)
        self.i = 0
        self.s = None

    def mask(self, x):
        if self.s is None:
            self.s = int(torch.randint(0, 2**31, ()))
        self.i = (self.i + 1) % 4096
        g = torch.Generator()
        g.manual_seed((self.s + self.i * 7919) % 2**31)
        return torch.rand(x.shape[0], x.shape[1], *[1] * (x.dim() - 2), generator=g) >= self.p


class Expanded(Base):
    """Backward assumes contiguous cotangent."""

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return torch.zeros_like(x) + 0 * torch.nan_to_num(x)
        m = self.mask(x)
        p = self.p

        class Fn(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return torch.where(m, x / (1 - p), torch.zeros((), dtype=x.dtype))

            @staticmethod
            def backward(ctx, g):
                flat = (
                    g.as_strided(g.shape, torch.empty(g.shape).stride())
                    if g.untyped_storage().nbytes() >= g.numel() * g.element_size()
                    else g
                )
                return torch.where(m, flat / (1 - p), torch.zeros((), dtype=g.dtype))

        return Fn.apply(x)
