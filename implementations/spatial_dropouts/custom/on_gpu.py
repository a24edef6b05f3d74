"""The pass of our PyTorch layer on a GPU: a Triton kernel, checked on each device before its first use.

A call has a key, two numbers that PyTorch's generator of the device draws there: the host never waits for them, and a replayed
CUDA graph draws new ones. The coins of a key are those that selecting.c draws of it. Where Triton is missing, or the kernel fails
its check, ``serves`` says no, and the layer is made of PyTorch's own operations.
"""

from __future__ import annotations

import math
import struct
import threading
import warnings
from functools import lru_cache
from typing import Any, Dict, Optional, Tuple

import torch

from spatial_dropouts.custom import torch_operator
from spatial_dropouts.custom.exact import fraction, kept
from spatial_dropouts.custom.selecting import below, dense, loops

DTYPES = frozenset((torch.float32, torch.float64, torch.bfloat16, torch.float16))
# elements of a tile: more of them pay for the coins, fewer occupy a GPU with a small array
_TILE, _SMALL_TILE, _WIDTH = 4096, 1024, 1024
_SMALL = 2**21
_PROGRAMS = 2**31 - 1

_usable: Dict[Tuple[torch.device, torch.dtype], bool] = {}
_lock = threading.Lock()
_warned = False


def serves(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel takes such arrays: it was checked, now or before. One warning where it does not work."""
    known = _usable.get((device, dtype))
    if known is not None:
        return known
    if dtype not in DTYPES or (device.type == "cuda" and torch.cuda.is_current_stream_capturing()):
        return False  # the check reads its result, which a graph that is being captured forbids
    with _lock:
        if (device, dtype) not in _usable:
            reason = fault(device, dtype)
            _usable[device, dtype] = reason is None
            if reason is not None:
                _warn(device, str(dtype), reason)
    return _usable[device, dtype]


def _warn(device: torch.device, what: str, reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"custom.torch runs PyTorch's own operations for {what} on {device}: its Triton kernel cannot be used. {reason}",
            RuntimeWarning,
            stacklevel=6,
        )


def fault(device: torch.device, dtype: torch.dtype) -> Optional[str]:
    """What is wrong with the kernel for a dtype, in words; None where all outputs are right, bit for bit.

    They are compared with PyTorch's operations on the CPU: on CUDA these divide by a product with the reciprocal.
    """
    if _kernel() is None:
        return "Triton cannot be imported"
    # numbers of all sizes, made without the generator of the user; the last ones are subnormal, or overflow
    here: Any = {"dtype": torch.float64, "device": "cpu"}
    values = torch.sin(torch.arange(1.0, 2113.0, **here) * 1.7) * 40
    info = torch.finfo(dtype)
    odd = [math.inf, -math.inf, math.nan, info.max, info.tiny, info.tiny / 4, -0.0]
    values[5:2100:97] = torch.tensor((odd * 4)[:22], **here)
    key = torch.tensor([0x1234567890ABCDEF, 0x7EDCBA0987654321], device="cpu")
    for size, shape in (((8, 8, 33), (8, 8, 1)), ((4, 33, 16), (4, 1, 16))):
        x = values.to(dtype).reshape(size)
        for rate in (0.3, 0.5):
            expected = torch_operator.composed(x, coins(shape, rate, key), rate)
            try:
                there = x.to(device)
                y = torch.empty_like(there)
                seen = _launched(there, y, key.to(device), planned(there, y, shape, rate)).cpu()
            except Exception as error:
                return _in_words(error)
            if not _same(seen, expected):
                return f"at rate {rate} on {dtype} its output is not that of PyTorch's operations"
    return None


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal bit for bit, all NaN alike."""
    numbers = ~torch.isnan(b)
    alike = torch.equal(torch.isnan(a), ~numbers) and torch.equal(a[numbers], b[numbers])
    return alike and torch.equal(torch.signbit(a[numbers]), torch.signbit(b[numbers]))


@lru_cache(maxsize=None)
def _kernel() -> Any:
    try:
        from spatial_dropouts.custom import triton_kernel
    except Exception:  # without it, or with one that does not fit this PyTorch
        return None
    return triton_kernel.select_elements


def key(device: torch.device) -> torch.Tensor:
    """The key of a call's coins, two int64 on the device, from PyTorch's default generator of it."""
    return torch.empty(2, dtype=torch.int64, device=device).random_()


def coins(shape: Tuple[int, ...], rate: float, key: torch.Tensor) -> torch.Tensor:
    """The coins of a key, on its device: bool, True to drop; those that `in_one_pass` draws itself.

    By PyTorch's operations: Philox 4x32-10, of which two words make a coin of 53 bits.
    """
    word, count = 0xFFFFFFFF, math.prod(shape)
    block = torch.arange((count + 1) // 2, dtype=torch.int64, device=key.device)
    left, right = key[0], key[1]
    a, b, c, d = block & word, block >> 32, right & word, (right >> 32) & word
    k, m = left & word, (left >> 32) & word
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57  # what exceeds 63 bits wraps, and no bit is lost
        a, b, c, d = (q >> 32) & word ^ b ^ k, q & word, (p >> 32) & word ^ d ^ m, p & word
        k, m = (k + 0x9E3779B9) & word, (m + 0xBB67AE85) & word
    bits = torch.stack((a << 32 | b, c << 32 | d), -1).flatten()[:count]
    return ((bits >> 11) & (2**53 - 1) < below(rate)).reshape(shape)


def in_one_pass(
    x: torch.Tensor, shape: Tuple[int, ...], rate: float, key: torch.Tensor, into: Optional[torch.Tensor] = None
) -> Optional[torch.Tensor]:
    """0 where a coin of the key drops, ``x / (1 - rate)`` elsewhere, in ``x``'s dtype; None where the layout is too involved.

    ``x``: a plain strided tensor of one of DTYPES. ``shape``: of the coins, as many axes, each of ``x``'s size or 1. ``into``: a
    tensor like ``x`` that takes the result, ``x`` itself too; None makes a new one.
    """
    y = torch.empty_like(x) if into is None else into
    known = (x.shape, x.stride(), x.dtype, shape, rate, into is None)  # the layout of y follows from it
    plan = _plans.get(known)
    if plan is None:
        plan = _remembered(known, x, y, shape, rate)
    try:
        return _launched(x, y, key, plan) if plan else None
    except Exception as error:  # a variant of the kernel that the check did not compile
        _plans[known] = ()  # from now on composed, of the same coins
        _warn(x.device, f"an input of shape {tuple(x.shape)}", _in_words(error))
        return None


def _launched(x: torch.Tensor, y: torch.Tensor, key: torch.Tensor, plan: Any) -> torch.Tensor:
    programs, numbers, choices = plan
    if programs:
        read, written = (x, y) if x.dtype != torch.bfloat16 else (x.view(torch.int16), y.view(torch.int16))
        if x.is_cuda and torch.cuda.current_device() != x.device.index:
            with torch.cuda.device(x.device):
                _kernel()[(programs,)](read, written, key, *numbers, **choices)
        else:
            _kernel()[(programs,)](read, written, key, *numbers, **choices)
    return y


_plans: Dict[Any, Any] = {}  # by layout; an empty one where it is composed


def _remembered(known: Any, *layout: Any) -> Any:
    if len(_plans) >= 1024:
        _plans.clear()
    plan = _plans[known] = planned(*layout)
    return plan


def planned(x: torch.Tensor, y: torch.Tensor, shape: Tuple[int, ...], rate: float) -> Any:
    """Programs, numbers and constants of a launch; none where a layout has more than three loops, or too many programs."""
    steps = tuple(0 if size == 1 else step for size, step in zip(shape, dense(shape)))
    made = loops(x.shape, x.stride(), y.stride(), steps)
    if len(made) > 3:
        return ()
    (outer, *outers), (middle, *middles), (inner, *inners) = [(1, 0, 0, 0)] * (3 - len(made)) + made
    columns = min(_power(inner), _WIDTH)
    rows = min(_power(middle), (_TILE if x.numel() >= _SMALL else _SMALL_TILE) // columns)
    programs = outer * -(-middle // rows) * -(-inner // columns) if x.numel() else 0
    if programs > _PROGRAMS:
        return ()
    factor = 1 / kept(rate)
    scaled = math.frexp(factor)[0] == 0.5 and factor * kept(rate) == 1
    up, down = (factor, 1.0) if scaled else fraction(rate) if x.dtype == torch.float64 else (1.0, kept(rate))
    places = (place for axis in zip(outers, middles, inners) for place in axis)
    choices = {"ROWS": rows, "COLUMNS": columns, "ALONG_MIDDLE": middles[2] != 0, "ALONG_INNER": inners[2] != 0}
    return programs, (below(rate), _bits(up), _bits(down), middle, inner, *places), {**choices, "SCALED": scaled}


def _power(size: int) -> int:
    """The least power of two that is not below a size."""
    return 1 << max(0, size - 1).bit_length()


def _bits(number: float) -> int:
    """A float64 as whole number: as a float, Triton would round it to float32."""
    return int(struct.unpack("<q", struct.pack("<d", number))[0])
