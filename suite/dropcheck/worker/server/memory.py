"""How the elements of an output lie in memory: a permutation of its axes, and the coins among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import numpy as np

from dropcheck.contract.promise import Pattern

Shape = Tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """Outputs of one shape whose axes lie in memory in ``order``, from the slowest to the fastest, without gaps.

    ``inverse`` brings them back. ``blocks``: coins, elements of a coin, and coins again, as memory has them one within the
    other (before, shared, behind); None where it has them otherwise. ``coins``: sizes of the coin axes in memory order;
    ``turn``: the transposition that makes them the pattern's, None where they are so already.
    """

    order: Shape
    inverse: Shape
    shape: Shape
    blocks: Optional[Tuple[int, int, int]]
    coins: Shape
    turn: Optional[Shape]
    plain: bool  # whether the axes lie as the pattern names them

    def arranged(self, array: Any) -> Any:
        """An output as it lies in memory; where it lies otherwise, it is copied."""
        turned = array if self.plain else array.transpose(self.order)
        return turned if turned.flags.c_contiguous else np.ascontiguousarray(turned)

    def logical(self, block: Any) -> Any:
        """Arranged outputs, (calls, *shape), with their axes in the order of the pattern, contiguous."""
        if self.plain:
            return block
        return np.ascontiguousarray(block.transpose((0, *(i + 1 for i in self.inverse))))


def memory_of(pattern: Pattern, shape: Shape, order: Shape) -> Memory:
    """The arrangement of outputs of ``shape`` whose axes lie in ``order``."""
    inverse = tuple(int(i) for i in np.argsort(order))
    arranged = tuple(shape[i] for i in order)
    runs: List[List[Any]] = []  # neighbouring axes of one kind as one: [whether coins, elements]
    for axis in order:
        kind = pattern.axes[axis] in pattern.coins
        if shape[axis] == 1:
            continue
        if runs and runs[-1][0] == kind:
            runs[-1][1] *= shape[axis]
        else:
            runs.append([kind, shape[axis]])
    kinds, sizes = [kind for kind, _ in runs], [int(size) for _, size in runs]
    # (coins,) (elements,) (coins, elements) (elements, coins) (coins, elements, coins): all others are none of these
    if len(sizes) > 3 or kinds == [False, True, False]:
        blocks: Any = None
    elif kinds[:1] == [True]:
        blocks = (sizes[0], *sizes[1:], *(1,) * (3 - len(sizes)))
    else:
        blocks = (1, *sizes, *(1,) * (2 - len(sizes)))
    wanted = [pattern.axes.index(axis) for axis in pattern.coins]
    held = [axis for axis in order if axis in wanted]
    turn = tuple(held.index(axis) for axis in wanted)
    real = [axis for axis in held if shape[axis] > 1]
    return Memory(
        order,
        inverse,
        arranged,
        blocks,
        tuple(shape[axis] for axis in held),
        None if real == [axis for axis in wanted if shape[axis] > 1] else turn,
        order == tuple(range(len(order))),
    )


def order_of(shape: Shape, strides: Shape, itemsize: int) -> Optional[Shape]:
    """The axes of an array from the slowest to the fastest; None where they leave gaps, overlap or run backwards."""
    axes = sorted(range(len(shape)), key=lambda i: (-strides[i], i))
    expected = itemsize
    for axis in reversed(axes):
        if shape[axis] == 1:
            continue
        if strides[axis] != expected:
            return None
        expected *= shape[axis]
    ones = [i for i in axes if shape[i] == 1]
    found = [i for i in axes if shape[i] != 1]
    if found == sorted(found):
        return tuple(range(len(shape)))  # axes of one element lie anywhere
    return (*ones, *found)
