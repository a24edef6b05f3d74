"""The least that a dropout must move, and how long that takes here: a model of the layout over a measured copy and fill."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dropcheck.contract.cells import ITEMSIZE, Cell
from dropcheck.contract.promise import Pattern

# bytes that memory hands over together: a cache line of a CPU, a sector of an NVIDIA GPU
GRANULE = {"cpu": 64, "cuda": 32}
ABOVE = 1.02  # a fraction of the limit above it means that the model is wrong
_MOST_GRANULES = 1 << 14


@dataclass(frozen=True)
class Traffic:
    """Bytes that must move: ``read`` and ``written`` in the forward or both passes, ``mask`` between them.

    ``skipped``: the share of input granules that need not be read. ``passes``: 0 where nothing need be done, 1 forward, 2
    with the backward pass.
    """

    read: float
    written: float
    mask: float
    skipped: float
    passes: int

    @property
    def total(self) -> float:
        """All bytes."""
        return self.read + self.written + self.mask


def skippable(cell: Cell, pattern: Pattern, granule: int) -> float:
    """The expected share of granules all of whose coins drop: the mean of rate^(coins in the granule).

    Coins are independent, so a granule that holds g of them is skipped with probability rate^g. Counted over the first
    granules of the input in its order in memory; a strided input touches a granule for half as many elements.
    """
    if cell.rate == 0:
        return 0.0
    shape = cell.shape(pattern)
    order = cell.order(pattern)
    a_granule = max(1, granule // ITEMSIZE[cell.dtype])
    if cell.layout == "strided":
        a_granule = max(1, a_granule // 2)
    total = math.prod(shape)
    count = min(_MOST_GRANULES, total // a_granule)
    if count == 0:  # all of it lies in one granule
        count, a_granule = 1, total
    flat = np.arange(count * a_granule)
    places = np.unravel_index(flat, [shape[a] for a in order])
    coin = np.zeros_like(flat)
    for axis, size in enumerate(shape):
        if pattern.axes[axis] in pattern.coins:
            coin = coin * size + places[order.index(axis)]
    inside = np.sort(coin.reshape(count, a_granule), axis=1)
    distinct = 1 + (np.diff(inside, axis=1) != 0).sum(axis=1)
    return float(np.mean(cell.rate**distinct))


def traffic(cell: Cell, pattern: Pattern, device: str = "cpu") -> Traffic:
    """The model: (2 - r) B forward; backward as much again, and one bit a coin written and read between the passes."""
    if cell.direction == "inference" or cell.rate == 0:
        return Traffic(0.0, 0.0, 0.0, 1.0, 0)  # the input itself is a right answer
    share = skippable(cell, pattern, GRANULE.get(device, 64))
    passes = 2 if cell.direction == "backward" else 1
    # a strided input lies on twice as many granules; its output does not
    reading = cell.nbytes * (2 if cell.layout == "strided" else 1) * (1 - share)
    rows, channels = pattern.matrix_shape(cell.shape(pattern))
    mask = 2 * math.ceil(rows * channels / 8) if passes == 2 else 0
    return Traffic(passes * reading, passes * float(cell.nbytes), float(mask), share, passes)


def seconds(need: Traffic, copy_s: float, fill_s: float) -> float | None:
    """t_fill + (1 - r)(t_copy - t_fill), twice with the backward pass; None where nothing need be moved.

    The bits of the mask are left out: they make the limit at most B/16 too fast at one position a coin, and nothing elsewhere.
    A fill that measures slower than the copy counts as fast as the copy.
    """
    if need.passes == 0:
        return None
    fill = min(fill_s, copy_s)
    return need.passes * (fill + (1 - need.skipped) * (copy_s - fill))


def best(medians: Mapping[str, Sequence[float]], kind: str) -> tuple[str, float] | None:
    """The fastest way of a kind (``copy``, ``fill``): its name, and its median in seconds; None where none was measured."""
    found = {name: float(np.median(v)) for name, v in medians.items() if name.startswith(kind + ":") and len(v)}
    if not found:
        return None
    name = min(found, key=lambda n: found[n])
    return name, found[name]
