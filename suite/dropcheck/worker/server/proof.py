"""The proof: every element of every output agrees with its coin and has the value that the contract allows."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

from dropcheck.contract.adapter import Adapter
from dropcheck.worker.server import compiled, rounding
from dropcheck.worker.server.coinwise import Proof, coins_of, coins_of_runs, pack
from dropcheck.worker.server.memory import Memory
from dropcheck.worker.server.probe import POOL, Probe
from dropcheck.worker.server.realised import plain

LEARNT = 64 * POOL  # elements of a call from which the bits of right outputs are learnt


def read(adapter: Adapter, probe: Probe, output: Any, proof: Proof) -> Optional[Any]:
    """The output as an array, however it lies in memory; None, with a note, where its shape or dtype is another one."""
    try:
        array = adapter.array(output)
        own = probe.native is not None and array.dtype == probe.native
        if own and array.shape == probe.shape:
            return plain(probe, array) if adapter.contract.scale == "realised" else array
        dtype = probe.dtype if own else adapter.dtype_of(output)
    except (TypeError, AttributeError, ValueError, RuntimeError) as error:
        proof.malformed = proof.malformed or {"shape": None, "dtype": None, "error": f"{type(error).__name__}: {error}"}
        return None
    if tuple(array.shape) != probe.shape or dtype != probe.dtype:
        proof.malformed = proof.malformed or {"shape": list(array.shape), "dtype": dtype, "error": None}
        return None
    return plain(probe, array) if adapter.contract.scale == "realised" else array


def prove(adapter: Adapter, probe: Probe, output: Any, proof: Proof) -> Optional[Any]:
    """Coins of one call, packed to (rows, bytes), 1 dropped; None where the output has another shape or dtype."""
    array = read(adapter, probe, output, proof)
    if array is None:
        return None
    memory = probe.memory(array)
    return prove_packed(probe, memory, memory.arranged(array)[None], proof)


def prove_packed(probe: Probe, memory: Memory, block: Any, proof: Proof) -> Any:
    """Packed coins of several calls on one probe, (calls x rows, bytes); ``block`` is (calls, *arranged shape), contiguous.

    Every element is compared: with its coin, and, where kept, with the value that the contract allows. Where the compiled
    proof finds an element that is not right, all is looked at again, for what is wrong and where.
    """
    if not probe.seen.all() and compiled.functions():
        _learn_first(probe, memory, block)
    prover = probe.prover(memory)
    coins = None if prover is None else prover.packed(block)
    return pack(prove_block(probe, memory.logical(block), proof)) if coins is None else coins


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
                return coins_of_runs(probe, drops, a_coin, len(block), None, proof)
            return coins_of(probe, drops.reshape(block.shape), proof)
    drops = _dropped(block, probe.dtype, probe.gone)
    if not probe.seen.all():
        _learn_values(probe, block, drops)
    if probe.kept_bits is None:
        probe.learn()
    right = bits == probe.kept_bits
    if not probe.seen.all():
        right &= probe.seen[probe.index]
    if np.count_nonzero(right) + np.count_nonzero(drops) != drops.size:
        _inspect(probe, block, bits, drops, right, proof)
    if len(probe.zeros) < 2 and not probe.zeros_vary:
        _note_zeros(probe, bits, drops)
    return coins_of(probe, drops, proof)


def _dropped(array: Any, dtype: str, gone: Optional[Tuple[float, float]]) -> Any:
    """Which elements hold the dropped value, within its bounds; None is 0, and -0.0 counts as 0."""
    if gone is None:
        if dtype in ("float16", "bfloat16"):
            return (array.view(np.uint16) & np.uint16(0x7FFF)) == 0
        return array == 0
    return rounding.is_dropped(rounding.to_float64(array, dtype), gone)


def _learn_values(probe: Probe, block: Any, drops: Any) -> None:
    """Learn what the first elements became, where kept and within bounds; what is missed is learnt with a later call."""
    kept = np.flatnonzero(~drops.reshape(-1)[:LEARNT])
    if _learn(probe, block.reshape(-1)[kept], probe.values_at(kept)):
        probe.learn()


def _learn_first(probe: Probe, memory: Memory, block: Any) -> None:
    """The same from so many first elements of arranged outputs that at any rate most values are kept somewhere among them."""
    some = block.reshape(-1)[: int(LEARNT / max(0.01, 1 - probe.rate))]
    kept = np.flatnonzero(~_dropped(some, probe.dtype, probe.gone))
    index = probe.index if memory.plain else np.ascontiguousarray(probe.index.transpose(memory.order))
    if _learn(probe, some[kept], index.reshape(-1)[kept % index.size]):
        probe.relearn()


def _learn(probe: Probe, found: Any, index: Any) -> bool:
    """Whether the bits of some of the values ``index`` were learnt from kept elements."""
    wide = rounding.to_float64(found, probe.dtype)
    with np.errstate(invalid="ignore"):
        good = (wide >= probe.low[index]) & (wide <= probe.high[index])
    if not good.any():
        return False
    probe.table[index[good]] = found.view(probe.carrier)[good]
    probe.seen[index[good]] = True
    return True


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
        proof.nan += int(np.count_nonzero(np.isnan(wide[bad])))
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
