"""A scale that a call makes of its own kept elements: its outputs with that scale taken out again."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.worker.server import rounding
from dropcheck.worker.server.probe import POOL, Probe


def plain(probe: Probe, array: Any) -> Any:
    """An output with its input in the place of every right kept value, and with wrong ones as far off as they are.

    A right kept value is x times all elements over the kept ones, see ``rounding.realised_bounds``. What is outside of those
    bounds by their width stays outside of what is then expected, x itself.
    """
    if (found := _alike(probe, array)) is not None:
        return found
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


def _alike(probe: Probe, array: Any) -> Any:
    """The same where one right value became of each probe value, as a factor makes of them; None otherwise."""
    bits = rounding.bits(array, probe.dtype)
    size = bits.dtype.itemsize
    kept = (bits & bits.dtype.type((1 << 8 * size - 1) - 1)) != 0
    count = int(np.count_nonzero(kept))
    flat, some = kept.reshape(-1), bits.reshape(-1)
    first = np.flatnonzero(flat[: 64 * POOL])
    table = np.zeros(len(probe.values), bits.dtype)
    table[probe.index.reshape(-1)[first]] = some[first]
    seen = np.flatnonzero(table)
    values = np.ascontiguousarray(table[seen]).view(array.dtype)
    low, high = rounding.realised_bounds(probe.values[seen], bits.size, count, probe.dtype)
    wide = rounding.to_float64(values, probe.dtype)
    with np.errstate(invalid="ignore"):
        fine = bool(((wide >= low) & (wide <= high)).all())
    if not fine or np.count_nonzero((table[probe.index] == bits) & kept) != count:
        return None
    inputs = rounding.bits(rounding.to_dtype(probe.values, probe.dtype), probe.dtype)
    return np.where(kept, inputs[probe.index], bits).view(array.dtype)
