"""Layers of one model with one mask: seen in the masks of many passes, where chance does not make them equal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from dropcheck.contract.sites import Shared
from dropcheck.judge.pattern_inference import Inferred, Marks

_CHANCE = 1e-12  # that two masks of their own are equal in all passes
_MOST = 4  # pairs that are named


class Layer(Protocol):
    """What is read of one use of a layer (``plan.models.Layer``)."""

    @property
    def name(self) -> str: ...
    @property
    def axes(self) -> tuple[str, ...]: ...
    @property
    def found(self) -> Inferred: ...
    @property
    def marks(self) -> Marks: ...


def among(layers: Sequence[Layer], known: Iterable[Shared] = ()) -> list[Shared]:
    """Pairs of layers of different names whose masks are equal in every pass, the second with the first that it equals.

    ``known``: pairs that were seen otherwise, and are not named again. Layers that never change, or drop nothing or everything,
    have faults of their own.
    """
    told = {frozenset((one.first, one.second)) for one in known}
    judged = [
        one for one in layers if one.found.sure and not (one.found.frozen or one.found.nothing or one.found.everything)
    ]
    found: list[Shared] = []
    copies: set[str] = set()
    for number, later in enumerate(judged):
        for first in judged[:number]:
            pair = frozenset((first.name, later.name))
            if len(pair) < 2 or pair in told or first.name in copies or later.name in copies:
                continue
            decisions = _equal(first, later)
            if decisions and len(found) < _MOST:
                copies.add(later.name)
                how = f"their masks are equal in all {len(later.marks.dropped)} passes ({decisions:,} drop decisions)"
                found.append(Shared(first.name, later.name, how))
    return found


def _equal(one: Layer, other: Layer) -> int:
    """Drop decisions of each, where they are all equal and chance does not do that; else 0."""
    if one.marks.dropped.shape != other.marks.dropped.shape or one.axes != other.axes:
        return 0
    first, second = _decisions(one), _decisions(other)
    if first.shape != second.shape or not np.array_equal(first, second):
        return 0
    p = float(first.mean())
    chance = first.size * math.log(max(p * p + (1 - p) * (1 - p), 1e-300)) if 0 < p < 1 else 0.0
    return int(first.size) if chance < math.log(_CHANCE) else 0


def _decisions(layer: Layer) -> Any:
    """Masks with one entry a decision: the first along axes that share one."""
    shared = set(layer.found.shared_axes)
    cut: tuple[Any, ...] = tuple(0 if name in shared else slice(None) for name in layer.axes)
    return layer.marks.dropped[(slice(None), *cut)]
