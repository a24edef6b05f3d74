"""Blocks that overlap (DropBlock): the law of their positions, and the positions whose coins are independent of each other.

A block contract has one seed for each place of a block, each of them on with probability gamma, and drops every position that
lies in a block whose seed is on. Of a position with all of its K = k^d blocks within the axes that has probability
1 - (1 - gamma)^K. Two such positions have no seed in common if they are k apart along some axis: on a grid of that step coins
are independent, whatever happens between. Where seeds may stand near the border differs between libraries, and with it
what positions less than k - 1 from it do; they are not on the grid and no rate is claimed of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.promise import Contract, Pattern


def seeds_rate(contract: Contract, rate: float) -> float:
    """gamma, the probability of a seed, at ``rate``; at most 1.

    ``paper``: rate / k^d times the product of size / (size - k + 1) (Ghiasi et al., arXiv:1810.12890, equation 1).
    """
    sizes, gamma = dict(contract.pattern.sizes), rate
    for axis, k in contract.pattern.blocks:
        gamma /= k
        if contract.gamma == "paper":
            gamma *= sizes[axis] / (sizes[axis] - k + 1)
    return min(1.0, gamma)


def drops_at(contract: Contract, rate: float) -> float:
    """Probability that a position with all of its blocks within is dropped."""
    return -math.expm1(area(contract.pattern) * math.log1p(-g)) if (g := seeds_rate(contract, rate)) < 1 else 1.0


def area(pattern: Pattern) -> int:
    """Positions of one block: 1 without blocks."""
    return math.prod(k for _, k in pattern.blocks)


def grid(pattern: Pattern) -> dict[str, range]:
    """The positions along each axis of blocks whose coins are counted."""
    sizes = dict(pattern.sizes)
    return {axis: range(k - 1, sizes[axis] - k + 1, k) for axis, k in pattern.blocks}


def channel_of(pattern: Pattern) -> str | None:
    """The last coin axis that is neither the first axis nor one of blocks; None: the grid takes the place of channels."""
    lengths = dict(pattern.blocks)
    return next((a for a in reversed(pattern.coins) if a not in lengths and a != pattern.axes[0]), None)


def coins_on_grid(pattern: Pattern, gone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Coins of one call, (rows, channels), from which elements were dropped: every coin of the grid by its first element."""
    places, channel = grid(pattern), channel_of(pattern)
    for number, axis in enumerate(pattern.axes):
        if axis in places:
            gone = np.take(gone, list(places[axis]), axis=number)
        elif axis not in pattern.coins:
            gone = np.take(gone, [0], axis=number)
    last = [channel] if channel is not None else list(places)
    first = [a for a in pattern.axes if a not in last and a in pattern.coins]
    shared = [a for a in pattern.axes if a not in pattern.coins]
    moved = gone.transpose([pattern.axes.index(a) for a in (*shared, *first, *last)])
    width = math.prod(moved.shape[len(shared) + len(first) :])
    return np.asarray(moved.reshape(-1, width))


def uncovered(pattern: Pattern, gone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dropped elements of one call that lie in no block that is dropped whole; a block may reach over the border by k // 2."""
    widths = [dict(pattern.blocks).get(a, 1) for a in pattern.axes]
    held = np.pad(gone, [(k // 2, k // 2) for k in widths], constant_values=True)
    for axis, k in enumerate(widths):
        held = np.lib.stride_tricks.sliding_window_view(held, k, axis=axis).min(axis=-1)
    held = np.pad(held, [(k - 1, k - 1) for k in widths])
    for axis, k in enumerate(widths):
        held = np.lib.stride_tricks.sliding_window_view(held, k, axis=axis).max(axis=-1)
    inner = tuple(slice(k // 2, k // 2 + size) for k, size in zip(widths, gone.shape, strict=True))
    return np.asarray(gone & ~held[inner])


def elsewhere(pattern: Pattern, coins: int) -> int:
    """Independent coins that as many positions are worth at least, for the chance that none of them drops.

    With seeds that keep whole blocks within there are (size - k + 1) of them an axis, each worth 1 / k^d of a position; what
    a rate r is to gamma makes r / 2 at least of it for every r up to .9.
    """
    sizes, left = dict(pattern.sizes), float(coins)
    for axis, k in pattern.blocks:
        left *= (sizes[axis] - k + 1) / sizes[axis] / k
    return int(left / 2) if pattern.blocks else coins
