"""Randomised complete blocks: in which order the things of a block are timed, a function of the seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dropcheck.contract.cases import seed_of
from dropcheck.contract.cells import Cell

Slot = tuple[
    str, str
]  # who (a lane: a target, the reference or the reference again), what (target, copy:..., fill:...)


def orders(slots: Sequence[Slot], blocks: int, root: int, process: int, cell: Cell) -> list[list[Slot]]:
    """``blocks`` orders of all slots, each a fresh shuffle: whatever drifts meets every slot alike.

    Depends on the root seed, the process, the cell and the slots, never on what else is timed.
    """
    found = []
    for block in range(blocks):
        order = sorted(slots)
        random.Random(seed_of(root, "block", process, str(cell), block)).shuffle(order)
        found.append(order)
    return found


def cell_order(cells: Sequence[Cell], root: int, process: int) -> list[Cell]:
    """The cells of one process in shuffled order, those with fresh memory first: a process cannot go back from kept memory."""
    order = list(cells)
    random.Random(seed_of(root, "cells", process)).shuffle(order)
    return sorted(order, key=lambda c: c.regime != "fresh")
