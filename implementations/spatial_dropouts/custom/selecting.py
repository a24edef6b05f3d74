"""One pass over an array on the CPU that keeps or drops (selecting.c), where it was built.

Kept elements are divided by 1 - rate and rounded once; dropped ones become 0 and, where a coin covers a row, are never read. It is
bit for bit what ``torch_operator.composed`` makes of PyTorch's own operations, but for float64, which that rounds twice.
"""

from __future__ import annotations

import ctypes
import math
import os
from functools import lru_cache
from typing import Any, FrozenSet, List, Optional, Tuple

import torch

from dropcheck.contract import native

_LOOPS = 8


def _last_cache() -> int:
    """Bytes of the largest cache, as far as the C library knows it; else those of a usual one."""
    try:
        return os.sysconf("SC_LEVEL3_CACHE_SIZE") or 32 << 20
    except (AttributeError, ValueError, OSError):
        return 32 << 20


# bytes of an output from which on it is written past the caches, where it would not stay: the share at which glibc copies so
_STREAMED = _last_cache() * 3 // 4
_NUMBER = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}


class _Loop(ctypes.Structure):
    _fields_ = [("size", ctypes.c_int64), ("x", ctypes.c_int64), ("y", ctypes.c_int64), ("coin", ctypes.c_int64)]


class _Plan(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("keep", ctypes.c_double),
        ("rate", ctypes.c_double),
        ("loops", _Loop * _LOOPS),
    ]


@lru_cache(maxsize=None)
def _library() -> Optional[Any]:
    library = native.library(os.path.dirname(os.path.abspath(__file__)), "selecting")
    if library is None:
        return None
    word, pointer = ctypes.c_int64, ctypes.c_void_p
    library.knows.argtypes, library.knows.restype = [word], word
    library.select_elements.argtypes, library.select_elements.restype = [pointer] * 4 + [word, word, pointer], None
    return library


def _team() -> Optional[int]:
    """GOMP_parallel of the OpenMP that PyTorch runs on, so that its threads are ours; None where it has another one."""
    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name.startswith("libgomp"):
            try:
                found = ctypes.CDLL(os.path.join(folder, name)).GOMP_parallel
            except (OSError, AttributeError):
                continue
            return ctypes.cast(found, ctypes.c_void_p).value
    return None


def _known() -> FrozenSet[torch.dtype]:
    library = _library()
    return frozenset(dtype for dtype, number in _NUMBER.items() if library is not None and library.knows(number))


_TEAM = _team()
_select: Any = getattr(_library(), "select_elements", None)
# the dtypes that the pass takes, none where it was not built; a constant, so that a compiler may read it
DTYPES = _known()


def loops(
    shape: Tuple[int, ...], x: Tuple[int, ...], y: Tuple[int, ...], coin: Tuple[int, ...]
) -> List[Tuple[int, int, int, int]]:
    """Loops over an array, outermost first, as (size, steps of input, output and coins): neighbours that are one are merged.

    ``x, y, coin``: steps by axis, in elements; a coin that covers an axis has a step of 0 along it. The order is that of the
    output in memory.
    """
    found: List[Tuple[int, int, int, int]] = []
    for k in sorted((k for k, size in enumerate(shape) if size != 1), key=lambda k: -y[k]):
        here = (shape[k], x[k], y[k], coin[k])
        if found and all(before == here[0] * step for before, step in zip(found[-1][1:], here[1:])):
            here = (found.pop()[0] * here[0], *here[1:])
        found.append(here)
    return found or [(1, 1, 1, 0)]


@lru_cache(maxsize=256)
def _planned(
    shape: Tuple[int, ...],
    x: Tuple[int, ...],
    y: Tuple[int, ...],
    coins: Tuple[int, ...],
    coin: Tuple[int, ...],
    dtype: torch.dtype,
    rate: float,
) -> Optional[Tuple[int, bool, Any]]:
    """The plan of one layout, for select_elements, and whether to stream; None where it has more loops than that takes."""
    steps = tuple(0 if size == 1 else step for size, step in zip(coins, coin))
    made = loops(shape, x, y, steps)
    if len(made) > _LOOPS:
        return None
    plan = _Plan(_NUMBER[dtype], len(made), kept(rate), rate, (_Loop * _LOOPS)(*(_Loop(*one) for one in made)))
    streamed = math.prod(shape) * dtype.itemsize >= _STREAMED
    return ctypes.addressof(plan), streamed, plan  # the address holds while the plan is referred to


def kept(rate: float) -> float:
    """What a kept element is divided by; at rate 1 everything is dropped, and nothing may be divided by 0."""
    return 1.0 - rate if rate < 1 else 1.0


def in_one_pass(
    x: torch.Tensor, draws: torch.Tensor, rate: float, into: Optional[torch.Tensor]
) -> Optional[torch.Tensor]:
    """0 where a draw is below ``rate``, ``x / (1 - rate)`` elsewhere, in ``x``'s dtype; None where the layout is too involved.

    ``x``: a plain strided tensor on the CPU of one of DTYPES. ``draws``: float64 in [0, 1), as many axes, each of its size or
    1. ``into``: a tensor like ``x`` that takes the result, ``x`` itself too; None makes a new one.
    """
    y = torch.empty_like(x) if into is None else into
    plan = _planned(x.shape, x.stride(), y.stride(), draws.shape, draws.stride(), x.dtype, rate)
    if plan is None:
        return None
    if y.numel():
        where = x.data_ptr(), y.data_ptr(), draws.data_ptr(), plan[0]
        _select(*where, plan[1], torch.get_num_threads(), _TEAM)
    return y
