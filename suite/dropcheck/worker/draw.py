"""Flipping coins: calls of a layer, the proof that every element agrees with its coin, and one packed bit a coin."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from dropcheck.adapter import Adapter
from dropcheck.contract import Pattern
from dropcheck.worker import rounding

POOL = 251  # a prime, so that probe values never align with channels, rows or vector lanes


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
    """One input for calls of one shape: native tensor, pool index of each element, and right values by index."""

    pattern: Pattern
    shape: Tuple[int, ...]
    dtype: str
    index: Any
    values: Any
    x: Any
    bits_before: Any
    low: Any
    high: Any
    table: Any
    expected: Any = None
    known: bool = False
    rank_order: Tuple[int, ...] = ()


def coin_order(pattern: Pattern) -> Tuple[int, ...]:
    """The axis order that puts coin axes first and shared axes last."""
    return tuple(pattern.axes.index(a) for a in pattern.coins + pattern.shared)


def probe_values(dtype: str, rate: float, scale: Any, dropped: float) -> Any:
    """POOL probe values none of which, kept, can be taken for a dropped one (also negated, and 16 times as large)."""
    if dropped == 0.0:
        return rounding.pool(dtype, POOL, 11)
    values = rounding.pool(dtype, 4 * POOL, 11)
    factor = float(rounding.exact_scale(rate, scale)) if rate < 1 or scale != "inverted" else 1.0
    reach = 16 * rounding.unit_roundoff(dtype) * abs(dropped) + float(
        rounding.relative_bound(rate if rate < 1 else 0.0, scale, dtype)
    ) * abs(dropped)
    clear = np.ones(len(values), dtype=bool)
    for sized in (1.0, 16.0):
        clear &= np.abs(np.abs(values) * abs(factor) * sized - abs(dropped)) > reach
    return values[clear][:POOL]


def make_probe(
    adapter: Adapter, pattern: Pattern, shape: Sequence[int], dtype: str, layout: str, rate: float, seed: int
) -> Probe:
    """An input of distinct values of both signs, and the bounds of what a kept one may become."""
    size = int(np.prod(shape, dtype=np.int64))
    index = ((np.arange(size, dtype=np.int64) * 7 + seed % POOL) % POOL).reshape(tuple(shape))
    scale = adapter.contract.scale
    values = probe_values(dtype, rate, scale, adapter.contract.dropped)
    if rate < 1 or scale != "inverted":
        low, high = rounding.bounds(values, rate, scale, dtype)
    else:
        low = high = np.full(POOL, np.nan)  # nothing may be kept at rate 1
    x = adapter.tensor(values[index], dtype, layout)
    return Probe(
        pattern=pattern,
        shape=tuple(shape),
        dtype=dtype,
        index=index,
        values=values,
        x=x,
        bits_before=rounding.bits(adapter.array(x), dtype).copy(),
        low=low,
        high=high,
        table=np.full(POOL, np.nan),
        rank_order=coin_order(pattern),
    )


def _dropped(array: Any, dtype: str, value: float) -> Any:
    """Which elements equal the dropped value; -0.0 counts as 0. A layer's own rounding of a constant is allowed."""
    if value == 0.0:
        if dtype in ("float16", "bfloat16"):
            return (array.view(np.uint16) & np.uint16(0x7FFF)) == 0
        return array == 0
    wide = rounding.to_float64(array, dtype)
    return np.abs(wide - value) <= abs(value) * 4 * rounding.unit_roundoff(dtype)


def prove(adapter: Adapter, probe: Probe, output: Any, proof: Proof) -> Optional[Any]:
    """Coins of one call, (rows, channels) bool, True dropped; None where the output has another shape or dtype.

    Every element is compared: with its coin, and, where kept, with the value that the contract allows.
    """
    try:
        array = adapter.array(output)
        dtype = adapter.dtype_of(output)
    except (TypeError, AttributeError, ValueError, RuntimeError) as error:
        proof.malformed = proof.malformed or {"shape": None, "dtype": None, "error": f"{type(error).__name__}: {error}"}
        return None
    if tuple(array.shape) != probe.shape or dtype != probe.dtype:
        proof.malformed = proof.malformed or {"shape": list(array.shape), "dtype": dtype, "error": None}
        return None
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    carrier = array.view(np.uint16) if dtype in ("float16", "bfloat16") else array
    dropped = _dropped(array, dtype, adapter.contract.dropped)
    if probe.expected is None:
        # an impossible bit pattern: nothing is known yet
        probe.expected = np.full(probe.shape, 0x7FFF if carrier.dtype == np.uint16 else np.nan, dtype=carrier.dtype)
    right = carrier == probe.expected
    if np.count_nonzero(right) + np.count_nonzero(dropped) != dropped.size:
        _inspect(probe, array, dropped, right, proof)
    return _coins(probe, dropped, proof)


def _inspect(probe: Probe, array: Any, dropped: Any, right: Any, proof: Proof) -> None:
    """Elements that are neither dropped nor a value seen before: hold each against the exact bounds."""
    odd = np.flatnonzero(~(dropped.ravel() | right.ravel()))
    index = probe.index.ravel()[odd]
    wide = rounding.to_float64(array.ravel()[odd], probe.dtype)
    with np.errstate(invalid="ignore"):
        good = (wide >= probe.low[index]) & (wide <= probe.high[index])
    bad = np.flatnonzero(~good)
    if len(bad):
        proof.wrong_values += len(bad)
        proof.nonfinite += int(np.count_nonzero(~np.isfinite(wide[bad])))
        if proof.wrong_example is None:
            first = int(bad[0])
            place = np.unravel_index(int(odd[first]), probe.shape)
            proof.wrong_example = {
                "place": [int(i) for i in place],
                "input": float(probe.values[index[first]]),
                "output": float(wide[first]),
                "low": float(probe.low[index[first]]),
                "high": float(probe.high[index[first]]),
            }
    if not probe.known:
        probe.table[index[good]] = wide[good]
        native = rounding.to_dtype(probe.table, probe.dtype)
        if probe.dtype in ("float16", "bfloat16"):
            native = np.where(np.isnan(probe.table), np.uint16(0x7FFF), native.view(np.uint16))
        probe.expected = native[probe.index]
        probe.known = not np.isnan(probe.table).any()


def _coins(probe: Probe, dropped: Any, proof: Proof) -> Any:
    """One bool a coin, from a bool an element, and the count of coins whose elements disagree."""
    pattern, shape = probe.pattern, probe.shape
    rows, channels = pattern.matrix_shape(shape)
    shared = pattern.shared_size(shape)
    if rows * channels == 0 or shared == 0:
        return np.zeros((rows, channels), dtype=bool)
    if shared == 1:
        return dropped.transpose(probe.rank_order).reshape(rows, channels)
    trailing = probe.rank_order == tuple(range(len(shape)))
    if trailing and shared in (2, 4, 8):
        # all elements of a coin are one machine word of bools: 0 or all ones
        word = {2: np.uint16, 4: np.uint32, 8: np.uint64}[shared]
        words = dropped.reshape(rows, channels * shared).view(word)
        ones = word(int.from_bytes(b"\x01" * shared, "little"))
        coins = words == ones
        disagree = rows * channels - np.count_nonzero(coins) - (words.size - np.count_nonzero(words))
        if disagree:
            _note(probe, dropped, coins | (words != 0) & ~coins, int(disagree), proof)
        return coins
    block = (
        dropped.transpose(probe.rank_order).reshape(rows, channels, shared)
        if not trailing
        else dropped.reshape(rows, channels, shared)
    )
    if shared <= 8:
        coins = np.ascontiguousarray(block[:, :, 0])
        wrong = np.zeros_like(coins)
        for i in range(1, shared):
            wrong |= block[:, :, i] != coins
    else:
        coins = block.all(axis=2)
        wrong = block.any(axis=2) != coins
    disagree = int(np.count_nonzero(wrong))
    if disagree:
        _note(probe, dropped, wrong, disagree, proof)
    return coins


def _note(probe: Probe, dropped: Any, wrong: Any, disagree: int, proof: Proof) -> None:
    """Count disagreeing coins; keep a small block around the first one for the picture."""
    proof.violations += disagree
    if proof.example is not None:
        return
    rows, channels = probe.pattern.matrix_shape(probe.shape)
    shared = probe.pattern.shared_size(probe.shape)
    block = dropped.transpose(probe.rank_order).reshape(rows, channels, shared)
    mixed = block.any(axis=2) != block.all(axis=2)
    row = int(np.argmax(mixed.any(axis=1)))
    proof.example = {"row": row, "block": block[row, :16, :16].astype(np.uint8)}


def pack(coins: Any) -> Any:
    """(rows, channels) bool to (rows, ceil(channels / 8)) uint8, little bit order, padding bits 0."""
    return np.packbits(coins, axis=-1, bitorder="little")


class Stream:
    """Successive calls of one layer on inputs of one or several batch sizes."""

    def __init__(self, adapter: Adapter, request: Dict[str, Any]) -> None:
        self.adapter = adapter
        self.pattern = Pattern.parse(request["pattern"])
        self.dtype: str = request["dtype"]
        self.layout: str = request["layout"]
        self.rate: float = request["rate"]
        self.way: str = request["way"]
        self.record: bool = request["record"]
        self.reuse: bool = request["reuse"]
        self.values: bool = request["values"]
        self.infer: int = request["infer"]
        self.shapes: List[Tuple[int, ...]] = [tuple(s) for s in request["shapes"]]
        self.seed: Optional[int] = request["seed"]
        self.calls = 0
        self.proof = Proof()
        self.rng = np.random.default_rng(request["probe_seed"])
        self.probe_seed = int(request["probe_seed"])
        self.probes: Dict[Tuple[int, ...], Probe] = {}
        self.universe: Dict[str, Any] = {}
        self.layer = adapter.make(self.rate, self.dtype, self.seed, self.way)

    def probe(self, shape: Tuple[int, ...]) -> Probe:
        """The probe for one shape, made once."""
        if shape not in self.probes:
            self.probes[shape] = make_probe(
                self.adapter, self.pattern, shape, self.dtype, self.layout, self.rate, self.probe_seed
            )
        return self.probes[shape]

    def call(self, layer: Any, shape: Tuple[int, ...]) -> Optional[Any]:
        """One call and its coins."""
        adapter = self.adapter
        probe = self.probe(shape)
        x = probe.x if self.reuse else adapter.tensor(probe.values[probe.index], self.dtype, self.layout)
        if self.record:
            x = adapter.track(x)
        start = time.perf_counter()
        with adapter.recording(self.record):
            output = adapter.apply(layer, x, True)
        self.proof.bare_s += time.perf_counter() - start
        coins = prove(adapter, probe, output, self.proof)
        self.calls += 1
        if self.infer and self.calls % self.infer == 0:
            adapter.apply(layer, probe.x, False)
        return coins

    def draw(self, calls: int) -> Dict[str, Any]:
        """``calls`` further calls: packed coins of all rows in order, class bits of the inputs where asked for."""
        packed: List[Any] = []
        classes: List[Any] = []
        for _ in range(calls):
            shape = self.shapes[self.calls % len(self.shapes)]
            if self.values:
                classes.append(self._vary_values(shape))
            coins = self.call(self.layer, shape)
            if coins is None:
                break
            packed.append(pack(coins))
        if self.reuse:
            self._verify_inputs()
        answer: Dict[str, Any] = {"proof": self.proof.report(), "calls": self.calls}
        if packed:
            answer["coins"] = np.concatenate(packed)
        if classes and packed:
            answer["classes"] = np.concatenate(classes, axis=1)
        return answer

    def seeds(self, seeds: Sequence[int], calls: int, fresh: bool) -> Dict[str, Any]:
        """For every seed, a fresh or a reseeded layer and ``calls`` calls: coins of shape (seeds, calls x rows, bytes)."""
        every: List[Any] = []
        layer = self.layer
        for seed in seeds:
            if fresh:
                layer = self.adapter.make(self.rate, self.dtype, int(seed), self.way)
            else:
                layer = self.adapter.reseed(layer, int(seed), self.way)
            rows: List[Any] = []
            for i in range(calls):
                coins = self.call(layer, self.shapes[i % len(self.shapes)])
                if coins is None:
                    return {"proof": self.proof.report(), "calls": self.calls}
                rows.append(pack(coins))
            every.append(np.concatenate(rows))
        return {"proof": self.proof.report(), "calls": self.calls, "coins": np.stack(every)}

    def _vary_values(self, shape: Tuple[int, ...]) -> Any:
        """A new input whose sign and magnitude differ coin by coin; the two classes of every coin, packed."""
        probe = self.probe(shape)
        rows, channels = self.pattern.matrix_shape(shape)
        sign, large = self.rng.random((2, rows, channels)) < 0.5
        if not self.universe:
            # every value that a varied input can have, once: the exact bounds are slow to compute
            absolute, place = np.unique(np.abs(probe.values), return_inverse=True)
            values = np.concatenate([absolute, -absolute, 16 * absolute, -16 * absolute])
            self.universe.update(values=values, place=place, base=probe.index)
            probe.values = values
            probe.low, probe.high = rounding.bounds(values, self.rate, self.adapter.contract.scale, self.dtype)
            probe.table = np.full(len(values), np.nan)
        shift = (sign + 2 * large.astype(np.int64)) * (len(probe.values) // 4)
        sizes = [shape[i] if probe.pattern.axes[i] in probe.pattern.coins else 1 for i in probe.rank_order]
        spread = shift.reshape(sizes).transpose(np.argsort(probe.rank_order))
        probe.index = self.universe["place"][self.universe["base"]] + spread
        probe.expected, probe.known = None, False
        return np.stack([pack(sign), pack(large)])

    def _verify_inputs(self) -> None:
        """Reused inputs must be what they were."""
        for probe in self.probes.values():
            now = rounding.bits(self.adapter.array(probe.x), probe.dtype)
            if not np.array_equal(now, probe.bits_before):
                self.proof.changed_inputs += 1
