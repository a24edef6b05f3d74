"""PyTorch tensors for every adapter that has them: layouts, copies, what NumPy sees of them, and memory that keeps many."""

from __future__ import annotations

import functools
import os
from typing import Any, Sequence, Tuple

import numpy as np
import torch

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def manual_seed(number: int) -> None:
    """``torch.manual_seed``; the CPU's generator alone where there is no other device and nobody has replaced that function.

    With a build for devices that are not there, ``torch.manual_seed`` formats the whole stack three times for their late seeding,
    a hundred times as long as the seeding itself.
    """
    own = torch.manual_seed
    inside = own
    if getattr(getattr(own, "__code__", None), "co_filename", "").startswith(os.path.dirname(torch.__file__)):
        inside = getattr(own, "__wrapped__", own)  # torch.compile puts a wrapper around it that does nothing else
    if inside is torch.random.manual_seed and inside.__module__ == "torch.random" and _only_cpu():
        torch.default_generator.manual_seed(number)
    else:
        own(number)


@functools.lru_cache(maxsize=1)
def _only_cpu() -> bool:
    """Whether this process sees no device but the CPU, nor a backend of somebody else's."""
    places = [getattr(torch, name, None) for name in ("cuda", "xpu", "mtia")]
    places.append(getattr(torch.backends, "mps", None))
    if any(place is not None and place.is_available() for place in places):
        return False
    named = getattr(torch._C, "_get_privateuse1_backend_name", lambda: "privateuseone")()
    return not hasattr(torch, named)


def laid_out(values: Any, dtype: str, layout: str, device: Any) -> Any:
    """A tensor of float64 values in a dtype: contiguous, with gaps (strided), or with its axes in reverse order in memory."""
    kind, given = DTYPES[dtype], np.ascontiguousarray(values, dtype=np.float64)
    # a copy anyway where the dtype is another one; PyTorch warns of memory that it may not write to
    seen = torch.from_numpy if kind is not torch.float64 and given.flags.writeable else torch.tensor
    whole = seen(given).to(kind).to(device)
    if layout == "contiguous" or whole.ndim == 0:
        return whole
    if layout == "strided":
        wide = torch.zeros((*whole.shape[:-1], 2 * whole.shape[-1]), dtype=kind, device=whole.device)
        wide[..., ::2] = whole
        return wide[..., ::2]
    order = list(range(whole.ndim))[::-1]
    return whole.permute(order).contiguous().permute(order)


def copies(x: Any, count: int) -> Any:
    """``count`` tensors like ``x``, strides included, in one piece of memory: made one by one, they cost more than a call."""
    span = 1 + sum((size - 1) * step for size, step in zip(x.shape, x.stride()))
    whole = torch.empty_strided((count, *x.shape), (span, *x.stride()), dtype=x.dtype, device=x.device)
    whole.copy_(x)
    return whole.unbind(0)


def array(tensor: Any) -> Any:
    """A tensor as NumPy sees it, bfloat16 as bits; waits for a device."""
    if tensor.is_cpu and not tensor.requires_grad and tensor.dtype is not torch.bfloat16:
        return tensor.numpy()  # the short way: most calls are short ones
    plain = tensor.detach().cpu()  # the tensor itself where it is there already
    if plain.dtype == torch.bfloat16:
        # NumPy has no bfloat16: its bits cross, and integers can be viewed only where memory is contiguous
        return plain.contiguous().view(torch.int16).numpy().view(np.uint16)
    return plain.numpy()


class Held:
    """Memory for ``count`` outputs of one shape whose axes lie in ``order``; PyTorch copies into it without a detour by NumPy.

    ``block``: all of it as NumPy sees it, (count, *sizes in memory order).
    """

    def __init__(self, shape: Sequence[int], dtype: str, order: Sequence[int], count: int) -> None:
        whole = torch.empty((count, *(shape[i] for i in order)), dtype=DTYPES[dtype])
        back = [int(i) for i in np.argsort(order)]
        self.places: Tuple[Any, ...] = tuple(place.permute(back) for place in whole.unbind(0))
        self.shape, self.dtype, self.strides = self.places[0].shape, whole.dtype, self.places[0].stride()
        self.block = array(whole)

    def put(self, place: int, output: Any) -> bool:
        """Copy an output to its place; False where it is no tensor of this shape, dtype and arrangement."""
        if output.dtype is not self.dtype or output.shape != self.shape or output.stride() != self.strides:
            return False
        self.places[place].copy_(output.detach() if output.requires_grad else output)
        return True
