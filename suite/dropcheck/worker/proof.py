"""The proof: every element of every output agrees with its coin and has the value that the contract allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from dropcheck.adapter import Adapter, Unsupported
from dropcheck.contract import Contract, Pattern
from dropcheck.worker import rounding

POOL = 251  # a prime, so that probe values never align with channels, rows or vector lanes
FEWEST = 64  # distinct probe values with which a proof still means something
LEARNT = 64 * POOL  # elements of a call from which the bits of right outputs are learnt
# Probe values come round every POOL elements, and so do machine words of them. Longer outputs are compared with so many words
# again and again: these stay in the processor's nearest cache, where tables as long as the output take twice the time.
ROUND = 32 * POOL


@dataclass
class Proof:
    """What the proof over all calls so far found: counts, and the first example of each kind."""

    violations: int = 0
    wrong_values: int = 0
    nonfinite: int = 0
    changed_inputs: int = 0
    example: Optional[Dict[str, Any]] = None
    wrong_example: Optional[Dict[str, Any]] = None
    malformed: Optional[Dict[str, Any]] = None
    bare_s: float = 0.0

    def report(self) -> Dict[str, Any]:
        """Plain data for the pipe."""
        return dict(self.__dict__)


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
        self.rearrange(self.index)

    def rearrange(self, index: Any) -> None:
        """Give the elements other ones of the values."""
        self.round = self.round and index is self.index
        self.index, self.kept_bits, self.patterns = index, None, None

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

    def learn(self) -> None:
        """Whole arrays of the bits that a right output has, kept and dropped; by machine words where a coin fills some."""
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
            f"at rate {rate:g} in {dtype} a kept value may be rounded so far that it cannot be told from a dropped one; "
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
    size = int(np.prod(shape, dtype=np.int64))
    index = ((np.arange(size, dtype=np.int64) * 7 + seed % POOL) % POOL).reshape(tuple(shape))
    contract = adapter.contract
    values = clear_pool(dtype, POOL, 11, rate, contract)
    if contract.keeps_at(rate):
        low, high = rounding.bounds(values, rate, contract.scale, dtype, contract.offset)
    else:
        low = high = np.full(POOL, np.nan)  # nothing may be kept at rate 1
    x = adapter.tensor(values[index], dtype, layout)
    before = rounding.bits(adapter.array(x), dtype).copy()
    gone = rounding.dropped_bounds(rate, contract.dropped, dtype)
    return Probe(pattern, tuple(shape), dtype, index, values, x, before, low, high, None if gone == (0, 0) else gone)


def read(adapter: Adapter, probe: Probe, output: Any, proof: Proof) -> Optional[Any]:
    """The output as a contiguous array; None, with a note, where it is no tensor or has another shape or dtype."""
    try:
        array = adapter.array(output)
        dtype = probe.dtype if probe.native is not None and array.dtype == probe.native else adapter.dtype_of(output)
    except (TypeError, AttributeError, ValueError, RuntimeError) as error:
        proof.malformed = proof.malformed or {"shape": None, "dtype": None, "error": f"{type(error).__name__}: {error}"}
        return None
    if tuple(array.shape) != probe.shape or dtype != probe.dtype:
        proof.malformed = proof.malformed or {"shape": list(array.shape), "dtype": dtype, "error": None}
        return None
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def prove(adapter: Adapter, probe: Probe, output: Any, proof: Proof) -> Optional[Any]:
    """Coins of one call, (rows, channels) bool, True dropped; None where the output has another shape or dtype."""
    array = read(adapter, probe, output, proof)
    return None if array is None else prove_block(probe, array[None], proof)


def prove_block(probe: Probe, block: Any, proof: Proof) -> Any:
    """Coins of several calls on one probe, (calls x rows, channels) bool; ``block`` is (calls, *shape), contiguous.

    Every element is compared: with its coin, and, where kept, with the value that the contract allows.
    """
    bits = block.view(probe.carrier)
    if probe.patterns is not None:
        seen = bits.reshape(len(block), -1).view(probe.patterns[0].dtype)
        drops, fine = probe.compared(seen)
        if fine:
            # where a word holds several elements, all of them are right, and one coin's
            a_coin = probe.shared * seen.size // max(1, bits.size) if seen.dtype != bits.dtype else 0
            if a_coin == 1:
                return drops.reshape(-1, probe.channels)
            if a_coin:
                return _coins_of_runs(probe, drops, a_coin, len(block), None, proof)
            return _coins(probe, drops.reshape(block.shape), proof)
    drops = _dropped(block, probe.dtype, probe.gone)
    if not probe.seen.all():
        _learn_values(probe, block, bits, drops)
    if probe.kept_bits is None:
        probe.learn()
    right = bits == probe.kept_bits
    if not probe.seen.all():
        right &= probe.seen[probe.index]
    if np.count_nonzero(right) + np.count_nonzero(drops) != drops.size:
        _inspect(probe, block, bits, drops, right, proof)
    if len(probe.zeros) < 2 and not probe.zeros_vary:
        _note_zeros(probe, bits, drops)
    return _coins(probe, drops, proof)


def _dropped(array: Any, dtype: str, gone: Optional[Tuple[float, float]]) -> Any:
    """Which elements hold the dropped value, within its bounds; None is 0, and -0.0 counts as 0."""
    if gone is None:
        if dtype in ("float16", "bfloat16"):
            return (array.view(np.uint16) & np.uint16(0x7FFF)) == 0
        return array == 0
    return rounding.is_dropped(rounding.to_float64(array, dtype), gone)


def _learn_values(probe: Probe, block: Any, bits: Any, drops: Any) -> None:
    """Learn what the first elements became, where kept and within bounds; what is missed is learnt with a later call."""
    kept = np.flatnonzero(~drops.reshape(-1)[:LEARNT])
    index = probe.values_at(kept)
    wide = rounding.to_float64(block.reshape(-1)[kept], probe.dtype)
    with np.errstate(invalid="ignore"):
        good = (wide >= probe.low[index]) & (wide <= probe.high[index])
    if good.any():
        probe.table[index[good]] = bits.reshape(-1)[kept[good]]
        probe.seen[index[good]] = True
        probe.learn()


def _inspect(probe: Probe, block: Any, bits: Any, drops: Any, right: Any, proof: Proof) -> None:
    """Elements that are neither dropped nor a value seen before: hold each against the exact bounds."""
    odd = np.flatnonzero(~(drops.ravel() | right.ravel()))
    index = probe.values_at(odd)
    wide = rounding.to_float64(block.ravel()[odd], probe.dtype)
    with np.errstate(invalid="ignore"):
        good = (wide >= probe.low[index]) & (wide <= probe.high[index])
    bad = np.flatnonzero(~good)
    if len(bad):
        proof.wrong_values += len(bad)
        proof.nonfinite += int(np.count_nonzero(~np.isfinite(wide[bad])))
        if proof.wrong_example is None:
            first = int(bad[0])
            proof.wrong_example = {
                "place": [int(i) for i in np.unravel_index(int(odd[first]) % probe.index.size, probe.shape)],
                "input": float(probe.values[index[first]]),
                "output": float(wide[first]),
                "low": float(probe.low[index[first]]),
                "high": float(probe.high[index[first]]),
            }


def _note_zeros(probe: Probe, bits: Any, drops: Any) -> None:
    """Learn the bits of what is dropped, by the sign of the input, from the first elements."""
    dropped = np.flatnonzero(drops.reshape(-1)[:LEARNT])
    found = bits.reshape(-1)[dropped]
    positive = (probe.values > 0)[probe.values_at(dropped)]
    for sign in (True, False):
        zeros = found[positive == sign]
        if not len(zeros):
            continue
        first = probe.zeros.setdefault(sign, int(zeros[0]))
        if (zeros != probe.carrier(first)).any():
            probe.zeros_vary = True
            return
    probe.learn()


def _coins(probe: Probe, drops: Any, proof: Proof) -> Any:
    """One bool a coin, from a bool an element (calls, *shape), and the count of coins whose elements disagree."""
    calls, shared = len(drops), probe.shared
    if drops.size == 0:
        return np.zeros((calls * probe.rows, probe.channels), dtype=bool)
    order = (0, *(i + 1 for i in probe.order))
    if shared == 1:
        return drops.transpose(order).reshape(-1, probe.channels)
    coins = calls * probe.rows * probe.channels
    if not probe.trailing and coins >= 2048:
        return _coins_of_planes(probe, drops, order, proof)
    runs = drops if probe.trailing else drops.transpose(order)
    return _coins_of_runs(probe, runs.reshape(-1), shared, calls, drops, proof)


def _coins_of_runs(probe: Probe, drops: Any, length: int, calls: int, elements: Any, proof: Proof) -> Any:
    """Coins whose ``length`` marks stand one behind the other."""
    flat = drops.reshape(-1, length)
    if length in (2, 4, 8):
        # all marks of a coin are one machine word of bools: 0 or all ones
        word = {2: np.uint16, 4: np.uint32, 8: np.uint64}[length]
        words = flat.reshape(-1).view(word)
        coins = words == word(int.from_bytes(b"\x01" * length, "little"))
        disagree = np.count_nonzero(flat) - length * np.count_nonzero(coins)  # marks that stand in no full coin
    else:
        # neighbours in one long run, not in many short ones: ten times as fast
        coins = np.ascontiguousarray(flat[:, 0])
        marks = flat.reshape(-1)
        differ = marks[1:] != marks[:-1]
        differ &= probe.inside(length, len(differ))
        disagree = np.count_nonzero(differ)
    if disagree:
        coins, wrong = flat.all(axis=1), flat.any(axis=1)
        _note(probe, flat, length, wrong != coins, proof)
    return coins.reshape(-1, probe.channels)


def _coins_of_planes(probe: Probe, drops: Any, order: Tuple[int, ...], proof: Proof) -> Any:
    """Coins whose elements stand in planes, as in channels-last layouts: plane by plane, without a copy."""
    view = drops.transpose(order)
    sizes = [probe.shape[i] for i in probe.order[len(probe.pattern.coins) :]]
    first = np.ascontiguousarray(view[(..., *([0] * len(sizes)))])
    wrong = np.zeros(first.shape, bool)
    for place in np.ndindex(*sizes):
        wrong |= view[(..., *place)] != first
    if wrong.any():
        flat = view.reshape(-1, probe.shared)
        _note(probe, flat, probe.shared, wrong.ravel(), proof)
        first = flat.all(axis=1)
    return first.reshape(-1, probe.channels)


def _note(probe: Probe, flat: Any, length: int, wrong: Any, proof: Proof) -> None:
    """Count disagreeing coins; keep a small block around the first one for the picture."""
    proof.violations += int(np.count_nonzero(wrong))
    if proof.example is not None:
        return
    row = int(np.flatnonzero(wrong)[0]) // probe.channels
    block = flat.reshape(-1, probe.channels, length)[row, :16, :16]
    proof.example = {"row": row % max(1, probe.rows), "block": block.astype(np.uint8)}


def pack(coins: Any) -> Any:
    """(rows, channels) bool to (rows, ceil(channels / 8)) uint8, little bit order, padding bits 0."""
    rows, channels = coins.shape
    if channels % 8 == 0 or channels > 256:
        # whole bytes a row: one long run packs ten times as fast as many short ones
        if coins.flags.c_contiguous and channels % 8 == 0 and channels:
            return np.packbits(coins.reshape(-1), bitorder="little").reshape(rows, channels // 8)
        return np.packbits(coins, axis=-1, bitorder="little")
    if channels < 8:
        marks = coins.view(np.uint8)
        byte = marks[:, 0].copy()
        for i in range(1, channels):
            byte |= marks[:, i] << np.uint8(i)
        return byte[:, None]
    padded = np.zeros((rows, -(-channels // 8) * 8), bool)
    padded[:, :channels] = coins
    return np.packbits(padded.reshape(-1), bitorder="little").reshape(rows, padded.shape[1] // 8)
