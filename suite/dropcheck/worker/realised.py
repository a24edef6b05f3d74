"""A scale that a call makes of its own kept elements: its outputs with that scale taken out again."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.worker import rounding
from dropcheck.worker.probe import Probe


def plain(probe: Probe, array: Any) -> Any:
    """An output with its input in the place of every right kept value, and with wrong ones as far off as they are.

    A right kept value is x times all elements over the kept ones, see ``rounding.realised_bounds``. What is outside of those
    bounds by their width stays outside of what is then expected, x itself.
    """
    y = rounding.to_float64(array, probe.dtype)
    kept = y != 0
    count = int(np.count_nonzero(kept))
    if not count:
        return array
    x = probe.values[probe.index]
    low, high = rounding.realised_bounds(x, y.size, count, probe.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        right = kept & (y >= low) & (y <= high)
        off = y * (count / y.size)
    found = rounding.to_dtype(np.where(right, x, off), probe.dtype)
    if (kept & ~right).any():
        # a wrong one that is x by rounding: the input unscaled, say, where next to all was kept
        again = rounding.to_float64(found, probe.dtype)
        with np.errstate(invalid="ignore"):
            close = kept & ~right & (np.abs(again - x) <= 4 * rounding.unit_roundoff(probe.dtype) * np.abs(x))
        found = rounding.to_dtype(np.where(close, 1.25 * x, again), probe.dtype)
    return found
