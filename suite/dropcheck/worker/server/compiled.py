"""The compiled proof (proof.c): one pass over outputs whose right bits are known, coins packed to bits on the way."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import Any, Dict, Optional

import numpy as np

from dropcheck.contract import native
from dropcheck.worker.server.memory import Memory

STEP = 1024  # elements that the library looks at in one go: a table is so much longer than its period
_CARRIERS = {2: ("uint16_t", ctypes.c_uint16), 4: ("uint32_t", ctypes.c_uint32), 8: ("uint64_t", ctypes.c_uint64)}


@lru_cache(maxsize=None)
def functions() -> Dict[int, Any]:
    """The function for each size of an element in bytes; empty without the library."""
    found = native.library(os.path.dirname(os.path.abspath(__file__)), "proof")
    functions: Dict[int, Any] = {}
    if found is not None:
        for size, (name, kind) in _CARRIERS.items():
            function = functions[size] = getattr(found, f"prove_{name}")
            pointer, number = ctypes.c_void_p, ctypes.c_int64
            sizes = [number] * 5  # calls, before, shared, behind, row
            function.argtypes = [pointer, pointer, number, kind, kind, *sizes, ctypes.c_int, pointer]
            function.restype = ctypes.c_int
    return functions


class Prover:
    """Proves outputs of one shape that lie in memory in one way, against the bits that kept values have there.

    ``kept``: these bits by place in a call, ``period`` of them, and where they come round STEP more. An element is dropped
    where its bits under ``mask`` are ``gone``.
    """

    def __init__(self, memory: Memory, kept: Any, period: int, mask: int, gone: int, rows: int, channels: int) -> None:
        assert memory.blocks is not None and kept.flags.c_contiguous and len(kept) >= period
        self.kept, self.memory, self.rows, self.channels = kept, memory, rows, channels
        before, shared, behind = memory.blocks
        self.size = before * shared * behind
        # coins become bits where they lie as the rows of the coin matrix, else bytes that are turned first
        self.bits = memory.turn is None and behind in (1, channels)
        row = channels if behind == 1 and self.bits else before if behind == 1 else behind
        self.width = -(-channels // 8)
        self.function = functions()[kept.itemsize]
        self.before = (native.address(kept), period, mask, gone)
        self.behind = (before, shared, behind, row, int(self.bits))

    def packed(self, block: Any) -> Optional[Any]:
        """Coins of (calls, *arranged shape), contiguous, as (calls x rows, bytes); None where an element is not right."""
        calls = len(block)
        assert block.flags.c_contiguous and block.size == calls * self.size and block.itemsize == self.kept.itemsize
        shape = (calls * self.rows, self.width if self.bits else self.channels)
        out = np.empty(shape, np.uint8)
        if self.function(native.address(block), *self.before, calls, *self.behind, native.address(out)):
            return None
        if self.bits:
            return out
        if self.memory.turn is not None:
            turned = out.reshape(calls, *self.memory.coins).transpose(0, *(i + 1 for i in self.memory.turn))
            out = turned.reshape(shape)
        return np.packbits(out, axis=-1, bitorder="little")
