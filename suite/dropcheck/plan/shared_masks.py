"""Layers of one model with one mask, or with masks that depend on each other: seen in the masks of many passes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.sites import Shared
from dropcheck.judge.pattern_inference import Inferred, Marks

_CHANCE = 1e-12  # that two masks of their own are equal in all passes
_MOST = 4  # pairs that are named
_PLACES = 2048  # of each mask that are compared, at most


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
    @property
    def starts(self) -> Marks | None: ...


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
            if len(pair) < 2 or pair in told or first.name in copies or later.name in copies or _apart(first, later):
                continue
            decisions = _equal(first, later)
            if decisions and len(found) < _MOST:
                copies.add(later.name)
                how = f"their masks are equal in all {len(later.marks.dropped)} passes ({decisions:,} drop decisions)"
                found.append(Shared(first.name, later.name, how))
    return found


def _apart(one: Layer, other: Layer) -> bool:
    """Whether they stand in the two branches of one If of an ONNX file: no pass has both."""
    for mine, theirs in zip(one.name.split("/"), other.name.split("/"), strict=False):
        if mine != theirs:
            return {mine, theirs} == {"then", "else"}
    return False


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


def leaning(layers: Sequence[Layer], known: Iterable[Shared] = ()) -> list[Shared]:
    """Pairs of layers whose drop decisions at one place agree too often or too seldom: over sessions, or over passes of one.

    Each place is a table of two layers, exact given how often each drops there (Fisher), and the places' probabilities are
    combined (Fisher 1932, stochastically larger than uniform for counts): layers that are independent are named with
    probability below 10^-12 a pair.
    """
    told = {frozenset((one.first, one.second)) for one in known}
    judged = [one for one in layers if not (one.found.frozen or one.found.nothing or one.found.everything)]
    found: list[Shared] = []
    for number, later in enumerate(judged):
        for first in judged[:number]:
            pair = frozenset((first.name, later.name))
            if len(pair) < 2 or pair in told or len(found) >= _MOST or _apart(first, later):
                continue
            if how := _leans(first, later):
                told.add(pair)
                found.append(Shared(first.name, later.name, how, leans=True))
    return found


def _leans(one: Layer, other: Layer) -> str:
    """What is seen of two layers that depend on each other, in words; empty for independent ones."""
    for what, mine, theirs in (
        ("sessions with seeds of their own", one.starts, other.starts),
        ("passes of one session", one.marks, other.marks),
    ):
        if mine is None or theirs is None or min(len(mine.dropped), len(theirs.dropped)) < 8:
            continue
        runs = min(len(mine.dropped), len(theirs.dropped))
        a, b = (_flat(layer, marks)[:runs] for layer, marks in ((one, mine), (other, theirs)))
        places = min(a.shape[1], b.shape[1], _PLACES)
        a, b = a[:, :places], b[:, :places]
        if _log10_independent(a, b) < math.log10(_CHANCE):
            agree = (a == b).mean(axis=0)
            p, q = float(a.mean()), float(b.mean())
            return (
                f"their masks depend on each other: over {runs} {what}, the same place of both agrees in "
                f"{agree.min():.0%} to {agree.max():.0%} of them, by the place, expected {p * q + (1 - p) * (1 - q):.0%} everywhere"
            )
    return ""


def _flat(layer: Layer, marks: Marks) -> NDArray[np.bool_]:
    """Masks as (passes, decisions)."""
    shared = set(layer.found.shared_axes)
    cut: tuple[Any, ...] = tuple(0 if name in shared else slice(None) for name in layer.axes)
    some: NDArray[np.bool_] = marks.dropped[(slice(None), *cut)]
    return some.reshape(len(some), -1)


def _log10_independent(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """log10 of the probability that independent layers agree so unevenly; ``a``, ``b``: (passes, places)."""
    from scipy import stats

    runs, mine, theirs, both = len(a), a.sum(axis=0), b.sum(axis=0), (a & b).sum(axis=0)
    law = stats.hypergeom(runs, mine, theirs)
    tail = np.minimum(1.0, 2 * np.minimum(law.cdf(both), law.sf(both - 1)))
    statistic = -2 * float(np.log(np.maximum(tail, 1e-300)).sum())
    return float(stats.chi2.logsf(statistic, 2 * len(tail)) / math.log(10))
