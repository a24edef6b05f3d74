"""Right layers whose rows lose an exact number of channels, or one stretch of random length."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.broken.rows import Rows, Share, Stretch, StretchNeverLast, stretches


class RealStretch(Stretch):
    """Length and place are uniform real numbers, rounded down."""

    def mask(self, x: Any, rng: Any) -> Any:
        rows, channels = x.shape[:2]
        lengths = rng.random(rows) * int(channels * self.rate + 1e-6)
        starts = rng.random(rows) * (channels - lengths)
        return stretches(channels, lengths.astype(int), starts.astype(int))


class OneStretch(Stretch):
    """One stretch a call, which all samples share as declared."""

    def mask(self, x: Any, rng: Any) -> Any:
        return np.broadcast_to(super().mask(x[:1], rng) if len(x) else np.zeros((0, x.shape[1]), bool), x.shape[:2])


class FixedOne(Rows):
    """One channel of a sample that drops."""

    number = 1


def _one(cls: type, summary: str, pattern: str, **more: Any) -> Implementation:
    contract = Contract(pattern=Pattern.parse(pattern), seeds=("generator",), scale="none", **more)
    make = f"{cls.__module__}:{cls.__name__}"
    return Implementation(make=make, framework="numpy", contract=contract, default=False, summary=summary)


REGISTER: Mapping[str, Implementation] = {
    "unusual.exactly-two": _one(Rows, "a sample that drops loses two channels, as declared", "n c l -> n c=2"),
    "unusual.exactly-one": _one(FixedOne, "a sample that drops loses one channel of three", "n c=3 l -> n c=1"),
    "unusual.exact-share": _one(Share, "each sample loses the share rate of its channels", "n c l -> n c=rate"),
    "unusual.stretch": _one(Stretch, "each sample loses one stretch, as declared", "n c l -> n c/*"),
    "unusual.stretch-paper": _one(
        StretchNeverLast, "one stretch by the law of the paper", "n c l -> n c/*", stretch="paper"
    ),
    "unusual.stretch-real": _one(RealStretch, "one stretch, rounded down", "n c l -> n c/*", stretch="real"),
    "unusual.one-stretch": _one(OneStretch, "one stretch of a whole call, as declared", "n c l -> c/*"),
}
