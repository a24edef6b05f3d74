"""Rows whose channels depend on each other as declared: an exact number of them drops, or one stretch of random length.

An exact number, ``n c -> n c=2``: a row drops with probability rate, and then loses exactly two channels, any two alike. With
``c=rate`` each row loses the share rate of its channels. One stretch, ``n f -> n f/*``: a row loses neighbours only, at most
the share rate of them; their number and their place are drawn by one of three laws (``Contract.stretch``):

``whole``  lengths 0 to m, each place where the stretch fits; m is size times rate, rounded down.
``paper``  the same, the place below size - length, so that the last channel never drops (arXiv:1904.08779, section 2).
``real``   length and place are uniform real numbers, below m and below size - length, and are rounded down.

Rows are independent of each other. So are coins of which each row gives one: row r is read at channel r modulo some.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.promise import Contract, ContractError, Pattern

Floats = NDArray[np.float64]

_READ = 8  # places of a stretch that are read at most
_NEAR = 1e-6  # size times rate may miss a whole number by as much


@dataclass(frozen=True)
class Law:
    """What one row does at one rate.

    ``counts``: (size + 1,), the probability of each number of dropped channels. ``starts``: (size + 1, size), the probability
    of each place of a stretch, given its length; None of an exact number. ``places``: channels that are read, all of which drop
    with probability ``marginal``. ``same``: probability that two rows are alike.
    """

    size: int
    counts: Floats
    starts: Floats | None
    places: tuple[int, ...]
    marginal: float
    same: float

    @property
    def number(self) -> int:
        """The exact number, or the greatest length."""
        return int(np.max(np.flatnonzero(self.counts)))

    @property
    def drops(self) -> float:
        """Probability that a row loses a channel."""
        return float(1 - self.counts[0])

    @property
    def event(self) -> bool:
        """Whether a row loses something by chance."""
        return 0 < self.drops < 1


def law(contract: Contract, rate: float) -> Law | None:
    """The law of a row at ``rate``; None where it has none: a share that is no whole number, a stretch without room."""
    pattern = contract.pattern
    axis = pattern.stretch or (pattern.exact[0][0] if pattern.exact else "")
    if not axis:
        raise ContractError(f"the pattern '{pattern}' declares neither an exact number nor a stretch")
    size = dict(pattern.sizes)[axis]
    return _stretch(contract.stretch, size, rate) if pattern.stretch else _exact(pattern.exact[0][1], size, rate)


@functools.lru_cache(maxsize=64)
def _exact(number: int, size: int, rate: float) -> Law | None:
    counts = np.zeros(size + 1)
    if number:
        counts[0], counts[number] = 1 - rate, rate
    else:
        number = round(size * rate)
        if abs(number - size * rate) > _NEAR or not 0 < number < size:
            return None
        counts[number] = 1.0
    same = float(counts[0] ** 2 + counts[number] ** 2 / math.comb(size, number))
    return Law(size, counts, None, tuple(range(size)), float(counts[number] * number / size), same)


@functools.lru_cache(maxsize=64)
def _stretch(word: str, size: int, rate: float) -> Law | None:
    most = math.floor(size * rate + _NEAR)
    longest = most - 1 if word == "real" else most
    if longest < 1:
        return None
    counts = np.zeros(size + 1)
    counts[: longest + 1] = 1 / (longest + 1)
    starts = np.zeros((size + 1, size))
    for length in range(longest + 1):
        free = size - length
        if word == "whole":
            starts[length, : free + 1] = 1 / (free + 1)
        elif word == "paper" or free == 1:
            starts[length, :free] = 1 / free
        else:  # uniform below free minus the part that was rounded off: the mean over that part
            each = math.log(free / (free - 1))
            starts[length, : free - 1], starts[length, free - 1] = each, 1 - (free - 1) * each
    inner = range(longest - 1, size - longest - 1)  # whose every stretch lies within, and none of them last
    if not inner:
        return None
    covered = sum(counts[n] * starts[n, inner[0] - n + 1 : inner[0] + 1].sum() for n in range(1, longest + 1))
    places = tuple(inner[i * len(inner) // min(_READ, len(inner))] for i in range(min(_READ, len(inner))))
    joint = counts[:, None] * starts
    same = float(counts[0] ** 2 + np.sum(joint[1:] ** 2))
    return Law(size, counts, starts, places, float(covered), same)


def rows_of(pattern: Pattern, gone: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Rows of one call, (rows, channels), and how many coins have dropped and kept elements."""
    order = [pattern.axes.index(a) for a in (*pattern.coins, *pattern.shared)]
    moved = gone.transpose(order)
    channels = moved.shape[len(pattern.coins) - 1]
    flat = moved.reshape(math.prod(moved.shape[: len(pattern.coins)]), -1)
    every = flat.all(axis=1)
    return flat[:, 0].reshape(-1, channels), int(np.count_nonzero(flat.any(axis=1) != every))


def readings(rows: NDArray[np.bool_], places: tuple[int, ...]) -> NDArray[np.bool_]:
    """One coin of each row, (rows / places, places): independent of each other whatever happens within a row."""
    some = len(places)
    groups = rows[: len(rows) // some * some].reshape(-1, some, rows.shape[1])
    return np.asarray(groups[:, np.arange(some), list(places)])


def torn(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows that lose more than one stretch."""
    begins = rows[:, 1:] & ~rows[:, :-1]
    return np.asarray(begins.sum(axis=1) + rows[:, 0] > 1)
