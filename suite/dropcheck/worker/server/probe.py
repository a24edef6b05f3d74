"""Probes: inputs of distinct values, and what is known of the outputs that they can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from dropcheck.contract.adapter import Adapter, Unsupported
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.worker.server import compiled, rounding
from dropcheck.worker.server.memory import Memory, memory_of, order_of

POOL = 251  # a prime, so that probe values never align with channels, rows or vector lanes
FEWEST = 64  # distinct probe values with which a proof still means something
# Probe values come round every POOL elements, and so do machine words of them. Longer outputs are compared with so many words
# again and again: these stay in the processor's nearest cache, where tables as long as the output take twice the time.
ROUND = 32 * POOL


@dataclass
class Probe:
    """One input for calls of one shape, and what is known of the outputs that it can have.

    ``index``: which of ``values`` each element is. ``low``, ``high``: bounds of each value when kept. ``gone``: bounds of the
    dropped value; None where it is 0. ``table``: the bits that each value was seen to become when kept; ``zeros``: the bits
    of what is dropped, for positive and negative inputs (a layer that multiplies leaves -0.0). Once all of these are known,
    a call is proven by comparing bits, with ``patterns``: whole, or their first ROUND words where the values come round.
    """

    pattern: Pattern
    shape: Tuple[int, ...]
    dtype: str
    index: Any
    values: Any
    x: Any
    bits_before: Any
    low: Any
    high: Any
    rate: float
    gone: Optional[Tuple[float, float]] = None
    order: Tuple[int, ...] = ()
    table: Any = None
    seen: Any = None
    zeros: Dict[bool, int] = field(default_factory=dict)
    zeros_vary: bool = False
    kept_bits: Any = None
    patterns: Optional[Tuple[Any, Any]] = None
    round: bool = True  # whether the values still come round
    marks: Any = None  # where every comparison with what is kept is written, since only its count is wanted
    insides: Dict[int, Any] = field(default_factory=dict)
    memories: Dict[Tuple[int, ...], Memory] = field(default_factory=dict)
    provers: Dict[Tuple[int, ...], Optional[compiled.Prover]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = coin_order(self.pattern)
        self.rows, self.channels = self.pattern.matrix_shape(self.shape)
        self.shared = self.pattern.shared_size(self.shape)
        self.trailing = self.order == tuple(range(len(self.shape)))
        self.carrier = rounding.carrier(self.dtype)
        self.native = rounding.native(self.dtype)
        self.forget(self.values)

    def forget(self, values: Any) -> None:
        """Start anew with other probe values."""
        self.values = values
        self.table = np.zeros(len(values), self.carrier)
        self.seen = np.zeros(len(values), bool)
        if self.index.size < len(values) == POOL:
            self.seen[:] = True  # of what no element has there is nothing to be seen
            self.seen[self.index.reshape(-1)] = False
        self.rearrange(self.index)

    def rearrange(self, index: Any) -> None:
        """Give the elements other ones of the values."""
        self.round = self.round and index is self.index
        self.index = index
        self.relearn()

    def relearn(self) -> None:
        """Forget what was made of the bits known so far."""
        self.kept_bits, self.patterns = None, None
        self.provers.clear()

    def inside(self, length: int, count: int) -> Any:
        """Which of ``count`` neighbouring pairs of marks lie within one run of ``length``, as (count,) bool."""
        found = self.insides.get(length)
        if found is None or len(found) < count:
            found = np.ones(count, bool)
            found[length - 1 :: length] = False
            self.insides[length] = found
        return found[:count]

    def values_at(self, places: Any) -> Any:
        """Which of ``values`` the elements at flat ``places`` of successive calls are."""
        return self.index.reshape(-1)[places % self.index.size]

    def memory(self, array: Any) -> Memory:
        """How an output lies in memory; one with gaps is taken as a copy without."""
        found = self.memories.get(array.strides)
        if found is None:
            plain = tuple(range(len(self.shape)))
            order = order_of(self.shape, array.strides, array.itemsize) if array.size else None
            found = memory_of(self.pattern, self.shape, plain if order is None else order)
            self.memories[array.strides] = found
        return found

    def prover(self, memory: Memory) -> Optional[compiled.Prover]:
        """The compiled proof of outputs that lie so; None while right bits are not known, and where there is none."""
        if memory.order not in self.provers:
            self.provers[memory.order] = self._prover(memory)
        return self.provers[memory.order]

    def _prover(self, memory: Memory) -> Optional[compiled.Prover]:
        size = np.dtype(self.carrier).itemsize
        if size not in compiled.functions() or memory.blocks is None or not self.index.size or not self.seen.all():
            return None
        mask, gone = (1 << 8 * size) - 1, 0
        if self.gone is None:
            mask >>= 1  # -0.0 is 0
        elif self.zeros_vary or len(set(self.zeros.values())) != 1 or len(self.zeros) < 2:
            return None
        else:
            gone = self.zeros[True]
        period = 4 * POOL
        if self.round and memory.plain and self.index.size > 2 * (period + compiled.STEP):
            kept = self.table[self.index.reshape(-1)[: period + compiled.STEP]]
        else:
            period, kept = (
                self.index.size,
                np.ascontiguousarray(self.table[self.index.transpose(memory.order)]).reshape(-1),
            )
        return compiled.Prover(memory, kept, period, mask, gone, self.rows, self.channels)

    def learn(self) -> None:
        """Whole arrays of the bits that a right output has, kept and dropped; by machine words where a coin fills some."""
        self.relearn()
        self.kept_bits = self.table[self.index]
        if self.zeros_vary or len(self.zeros) < 2 or not self.seen.all():
            return
        gone = np.where(self.values > 0, self.carrier(self.zeros[True]), self.carrier(self.zeros[False]))[self.index]
        size = gone.dtype.itemsize
        if self.trailing and size < 8 and self.shared * size % 8 == 0 and gone.size:
            kept, gone = self.kept_bits.reshape(-1).view(np.uint64), gone.reshape(-1).view(np.uint64)
        else:
            kept, gone = self.kept_bits.reshape(-1), gone.reshape(-1)
        if self.round and len(kept) > 2 * ROUND:
            kept, gone = kept[:ROUND].copy(), gone[:ROUND].copy()
        self.patterns, self.marks = (kept, gone), None

    def compared(self, seen: Any) -> Tuple[Any, bool]:
        """Which words of calls, (calls, words), are dropped; and whether all the others are as what is kept."""
        assert self.patterns is not None
        kept, gone = self.patterns
        if self.marks is None or len(self.marks) < seen.size:
            self.marks = np.empty(seen.size, bool)
        drops, right = np.empty(seen.shape, bool), self.marks[: seen.size].reshape(seen.shape)
        for part, table in _rounds(seen.shape[1], len(kept)):
            parts = [a[:, part].reshape(len(seen), -1, table) for a in (seen, drops, right)]
            np.equal(parts[0], gone[:table], out=parts[1])
            np.equal(parts[0], kept[:table], out=parts[2])
        return drops, np.count_nonzero(drops) + np.count_nonzero(right) == seen.size


def _rounds(words: int, table: int) -> List[Tuple[slice, int]]:
    """The whole rounds of a table in so many words, and what is left, each with the length of table that it meets."""
    whole = words - words % table if table else 0
    return [(s, n) for s, n in ((slice(0, whole), table), (slice(whole, words), words - whole)) if s.stop > s.start]


def coin_order(pattern: Pattern) -> Tuple[int, ...]:
    """The axis order that puts coin axes first and shared axes last."""
    return tuple(pattern.axes.index(a) for a in pattern.coins + pattern.shared)


def clear_pool(dtype: str, size: int, seed: int, rate: float, contract: Contract) -> Any:
    """``size`` values of ``rounding.pool``, none of which, kept, can be taken for a dropped one, negated or 16-fold neither.

    Where the dropped value is 0 all of the pool is such. Raises Unsupported where too few are: in a coarse dtype at a high
    rate the offset of a self-normalizing layer may be rounded so far that anything can be anything.
    """
    if contract.dropped == 0 or not contract.keeps_at(rate):
        return rounding.pool(dtype, size, seed)
    values = _clear_of(dtype, 4 * size, seed, rate, contract.scale, contract.offset, contract.dropped)
    if len(values) < FEWEST:
        raise Unsupported(
            f"at rate {rate:g} in {dtype} a kept value may be rounded so far that it looks like a dropped one; "
            "ask for a lower rate or a finer dtype"
        )
    return values[np.arange(size) % len(values)]


@lru_cache(maxsize=128)
def _clear_of(
    dtype: str,
    size: int,
    seed: int,
    rate: float,
    scale: Union[str, float],
    offset: Union[str, float],
    dropped: Union[str, float],
) -> Any:
    """Those of a pool whose bounds, widened to twice what a right layer needs, keep off the dropped value's."""
    values = rounding.pool(dtype, size, seed)
    if dtype == "float64":
        dtype = "float32"  # ampler bounds, and quick ones
    least, most = rounding.dropped_bounds(rate, dropped, dtype)
    good = np.ones(size, dtype=bool)
    for times in (1.0, -1.0, 16.0, -16.0):
        low, high = rounding.bounds(times * values, rate, scale, dtype, offset)
        room = (high - low) / 2
        with np.errstate(invalid="ignore"):
            good &= (low - room > most) | (high + room < least)
    chosen = values[good]
    chosen.setflags(write=False)
    return chosen


def make_probe(
    adapter: Adapter, pattern: Pattern, shape: Sequence[int], dtype: str, layout: str, rate: float, seed: int
) -> Probe:
    """An input of distinct values of both signs, and the bounds of what a kept one may become.

    Raises Unsupported where kept and dropped values cannot be told apart; see ``clear_pool``.
    """
    period = ((np.arange(POOL) * 7 + seed % POOL) % POOL).astype(np.uint8)  # POOL is below 256: an eighth of the memory
    index = np.resize(period, shape)
    contract = adapter.contract
    values = clear_pool(dtype, POOL, 11, rate, contract)
    if contract.keeps_at(rate):
        low, high = rounding.bounds(values, rate, contract.scale, dtype, contract.offset)
    else:
        low = high = np.full(POOL, np.nan)  # nothing may be kept at rate 1
    x = adapter.tensor(np.resize(values[period], shape), dtype, layout)
    before = rounding.bits(adapter.array(x), dtype).copy()
    gone = rounding.dropped_bounds(rate, contract.dropped, dtype)
    none = None if gone == (0, 0) else gone
    return Probe(pattern, tuple(shape), dtype, index, values, x, before, low, high, rate, none)
