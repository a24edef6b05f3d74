"""Outputs of successive calls, kept in order until they are proven, many short ones together."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from dropcheck.contract.adapter import Adapter
from dropcheck.contract.offers import offered
from dropcheck.worker.server.coinwise import Proof
from dropcheck.worker.server.memory import Memory
from dropcheck.worker.server.probe import Probe
from dropcheck.worker.server.proof import prove_packed, read

# Outputs of so many short calls are proven together: a proof costs as much as ten short calls, whatever its size. Each
# output is copied and let go at once, since a layer that takes its seed from a buffer's address must meet the same
# addresses as in anybody's use.
GROUP_CALLS = 64
GROUP_ELEMENTS = 1 << 17

Shape = Tuple[int, ...]


class NumpyHeld:
    """Memory for ``count`` outputs of one shape; ``block``: all of it, (count, *sizes in memory order).

    Optional in an adapter: ``held(shape, dtype, order, count)``, memory of its framework that NumPy sees as ``block``, or None;
    ``put(place, output)`` copies an output, or says False where it is none of this shape, dtype and arrangement.
    """

    def __init__(self, adapter: Adapter, probe: Probe, memory: Memory, array: Any) -> None:
        self.array, self.shape, self.dtype, self.strides = adapter.array, probe.shape, array.dtype, array.strides
        self.sure = probe.native is not None  # an array of bits does not tell of which dtype
        self.block = np.empty((GROUP_CALLS, *memory.shape), array.dtype)
        # as the layer's outputs see each place: copies go from memory to memory in one run
        self.places = [place if memory.plain else place.transpose(memory.inverse) for place in self.block]

    def put(self, place: int, output: Any) -> bool:
        """Copy an output to its place, if it is beyond doubt one of these."""
        array = self.array(output)
        if not self.sure or array.strides != self.strides or array.shape != self.shape or array.dtype != self.dtype:
            return False
        np.copyto(self.places[place], array)
        return True


class Shelf:
    """Outputs of one shape, arranged alike in memory, one behind the other."""

    def __init__(self, adapter: Adapter, probe: Probe, memory: Memory, array: Any) -> None:
        self.probe, self.memory, self.filled = probe, memory, 0
        held = offered(adapter, "held")
        own = held(probe.shape, probe.dtype, memory.order, GROUP_CALLS) if held is not None else None
        self.held = own if own is not None else NumpyHeld(adapter, probe, memory, array)
        self.block = self.held.block

    def take(self, output: Any) -> bool:
        """Keep an output, if it is beyond doubt one of these."""
        try:
            taken = bool(self.held.put(self.filled, output))
        except (TypeError, AttributeError, ValueError, RuntimeError):
            return False  # who looks closer will say what it is
        self.filled += taken
        return taken

    def put(self, array: Any) -> None:
        """Keep an output that was looked at."""
        np.copyto(self.block[self.filled], array if self.memory.plain else array.transpose(self.memory.order))
        self.filled += 1

    def prove(self, proof: Proof) -> Any:
        """Packed coins of all that lies here, (calls, rows, bytes); the shelf is empty afterwards."""
        count, self.filled = self.filled, 0
        coins = prove_packed(self.probe, self.memory, self.block[:count], proof)
        return coins.reshape(count, self.probe.rows, -1)


class Gathering:
    """Outputs of successive calls, in order, waiting to be proven together."""

    def __init__(self, adapter: Adapter, proof: Proof) -> None:
        self.adapter, self.proof = adapter, proof
        self.shelves: Dict[Tuple[Shape, Shape], Shelf] = {}
        self.last: Dict[Shape, Shelf] = {}  # where the last output of a shape was laid
        self.places: List[Tuple[Shelf, int]] = []
        self.single: Any = None

    def add(self, probe: Probe, output: Any, alone: bool) -> bool:
        """Take one output; False where it has another shape or dtype. ``alone``: it is proven before the next call."""
        shelf = None if alone else self.last.get(probe.shape)
        if shelf is not None and shelf.take(output):
            self.places.append((shelf, shelf.filled - 1))
            return True
        array = read(self.adapter, probe, output, self.proof)
        if array is None:
            return False
        memory = probe.memory(array)
        if alone:
            self.single = (probe, memory, array)
            return True
        shelf = self.shelves.get((probe.shape, memory.order))
        if shelf is None:
            shelf = self.shelves[probe.shape, memory.order] = Shelf(self.adapter, probe, memory, array)
        self.last[probe.shape] = shelf
        shelf.put(array)
        self.places.append((shelf, shelf.filled - 1))
        return True

    def flush(self) -> Optional[Any]:
        """Packed coins of all calls since the last flush, (rows of all calls, bytes), in order; None without calls."""
        if self.single is not None:
            (probe, memory, array), self.single = self.single, None
            return prove_packed(probe, memory, memory.arranged(array)[None], self.proof)
        places, self.places = self.places, []
        if not places:
            return None
        packed = {shelf: shelf.prove(self.proof) for shelf in self.shelves.values() if shelf.filled}
        if len(packed) == 1:
            whole = next(iter(packed.values()))
            return whole.reshape(-1, whole.shape[-1])
        return np.concatenate([packed[shelf][place] for shelf, place in places])
