"""One pass over an array on the CPU that keeps or drops (selecting.c), where it was built.

Kept elements are divided by 1 - rate and rounded once; dropped ones become 0 and, where a coin covers more than a short row, are
not read. It is bit for bit what ``torch_operator.composed`` makes of PyTorch's own operations, but for float64, which that rounds
twice.

The coins of a call are a function of its key, two numbers of PyTorch's generator: they are drawn in the pass itself, by counters
(Philox 4x32-10), and drawn again in the backward pass, so that no mask is stored.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from functools import lru_cache
from typing import Any, Dict, FrozenSet, List, Optional, Tuple

import torch

from dropcheck.contract import native
from spatial_dropouts.custom.exact import kept

_LOOPS = 8
# a row of at most as many elements is not a stretch of its own: passing over it costs less than deciding to leave it out
_SHORT = 64
# a coin drops where 53 random bits are below the rate times this
_COIN = 2**53
# the two halves of a key, as PyTorch draws them: 63 bits each
Key = Tuple[int, int]


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
        ("run", ctypes.c_int64),
        ("coins", ctypes.c_int64),
        ("stream", ctypes.c_int64),
        ("below", ctypes.c_uint64),
        ("keep", ctypes.c_double),
        ("rate", ctypes.c_double),
        ("team", ctypes.c_void_p),
        ("loops", _Loop * _LOOPS),
    ]


@lru_cache(maxsize=None)
def _library() -> Optional[Any]:
    library = native.library(os.path.dirname(os.path.abspath(__file__)), "selecting")
    if library is None:
        return None
    word, half, pointer = ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p
    library.knows.argtypes, library.knows.restype = [word], word
    library.draw_coins.argtypes, library.draw_coins.restype = [pointer, word, half, half, half], None
    library.select_elements.argtypes, library.select_elements.restype = [pointer] * 4 + [half, half, word], word
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


def runs(made: List[Tuple[int, int, int, int]]) -> Tuple[List[Tuple[int, int, int, int]], int]:
    """Loops whose innermost are short rows of a coin each, one after another in memory, as one loop, and the length of a row."""
    if len(made) > 1 and made[-1][0] <= _SHORT and made[-1][1:] == (1, 1, 0) and made[-2][1:3] == (made[-1][0],) * 2:
        (outer, _, _, coin), (inner, _, _, _) = made[-2:]
        return [*made[:-2], (outer * inner, 1, 1, coin)], inner
    return made, 1


def _planned(x: torch.Tensor, y: torch.Tensor, coins: Tuple[int, ...], coin: Tuple[int, ...], rate: float) -> Any:
    """The plan of one layout, for select_elements, with its address; None where it has more loops than that takes."""
    steps = tuple(0 if size == 1 else step for size, step in zip(coins, coin))
    made, run = runs(loops(x.shape, x.stride(), y.stride(), steps))
    if len(made) > _LOOPS:
        return None
    streamed = x.numel() * x.dtype.itemsize >= _STREAMED
    whole = run, math.prod(coins), streamed, below(rate), kept(rate), rate, _TEAM
    plan = _Plan(_NUMBER[x.dtype], len(made), *whole, (_Loop * _LOOPS)(*(_Loop(*one) for one in made)))
    return ctypes.addressof(plan), plan  # the address holds while the plan is referred to


_plans: Dict[Any, Any] = {}  # by layout


def _remembered(known: Any, *layout: Any) -> Any:
    if len(_plans) >= 1024:
        _plans.clear()
    plan = _plans[known] = _planned(*layout)
    return plan


def below(rate: float) -> int:
    """A coin drops where 53 random bits are below this: with the probability ``rate``, rounded up to a multiple of 2^-53."""
    return math.ceil(rate * _COIN)


def dense(shape: Tuple[int, ...]) -> Tuple[int, ...]:
    """Steps of a contiguous array."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


class _Buffer(threading.local):
    """Two numbers of each thread; one that is made anew at every call costs as much as drawing them."""

    def __init__(self) -> None:
        with torch.inference_mode(False):
            self.numbers = torch.empty(2, dtype=torch.int64, device="cpu")


_buffer = _Buffer()


def key() -> Key:
    """The key of a call's coins, from PyTorch's default generator of the CPU."""
    left, right = _buffer.numbers.random_().tolist()
    return left, right


def coins(shape: Tuple[int, ...], rate: float, key: Key) -> torch.Tensor:
    """The coins of a key: bool, True to drop; those that `in_one_pass` draws itself."""
    made = bytearray(max(1, math.prod(shape)))
    address = ctypes.addressof(ctypes.c_char.from_buffer(made))
    _library().draw_coins(address, math.prod(shape), below(rate), *key)  # type: ignore[union-attr]
    return torch.frombuffer(made, dtype=torch.bool)[: math.prod(shape)].reshape(shape)


def in_one_pass(
    x: torch.Tensor, shape: Tuple[int, ...], rate: float, key: Key, into: Optional[torch.Tensor] = None
) -> Optional[torch.Tensor]:
    """0 where a coin of the key drops, ``x / (1 - rate)`` elsewhere, in ``x``'s dtype; None where the layout is too involved.

    ``x``: a plain strided tensor on the CPU of one of DTYPES. ``shape``: of the coins, as many axes, each of ``x``'s size or 1.
    ``into``: a tensor like ``x`` that takes the result, ``x`` itself too; None makes a new one. Raises MemoryError without
    memory for the coins.
    """
    y = torch.empty_like(x) if into is None else into
    known = (x.shape, x.stride(), x.dtype, shape, rate, into is None)  # the layout of y follows from it
    plan = _plans.get(known) or _remembered(known, x, y, shape, dense(shape), rate)
    if plan is None:
        return None
    if y.numel() and _select(x.data_ptr(), y.data_ptr(), None, plan[0], *key, torch.get_num_threads()):
        raise MemoryError(f"no memory for {math.prod(shape)} drop decisions")
    return y


def by_coins(x: torch.Tensor, drops: torch.Tensor, rate: float) -> Optional[torch.Tensor]:
    """`in_one_pass` with the coins themselves: bool, True to drop."""
    y = torch.empty_like(x)
    known = (x.shape, x.stride(), x.dtype, drops.shape, drops.stride(), rate)
    plan = _plans.get(known) or _remembered(known, x, y, drops.shape, drops.stride(), rate)
    if plan is None:
        return None
    if y.numel():
        _select(x.data_ptr(), y.data_ptr(), drops.data_ptr(), plan[0], 0, 0, torch.get_num_threads())
    return y
