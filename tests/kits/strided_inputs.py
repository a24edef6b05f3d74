"""Numbers and layouts that our PyTorch layer is tried on, on the CPU and by its kernel for GPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def values(*shape: int, dtype: Any = torch.float32) -> Any:
    """Of many sizes, both signs, with Inf, NaN, subnormal and largest numbers among them."""
    made = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 10
    info = torch.finfo(dtype)
    odd = [float("inf"), -float("inf"), float("nan"), info.max, info.min, info.tiny, info.tiny / 4, -0.0]
    for k, one in enumerate(odd if made.numel() else ()):
        made.view(-1)[k * 7 % made.numel()] = one
    return made.to(dtype)


# what makes the input of a dtype, and the shape of its coins
LAYOUTS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "channels first": (lambda dtype: values(5, 7, 33, dtype=dtype), (5, 7, 1)),
    "rows of one": (lambda dtype: values(5, 40, 1, dtype=dtype), (5, 40, 1)),
    "channels last": (lambda dtype: values(5, 33, 19, dtype=dtype), (5, 1, 19)),
    "transposed": (lambda dtype: values(5, 33, 19, dtype=dtype).transpose(1, 2), (5, 19, 1)),
    "channels-last memory": (
        lambda dtype: values(3, 6, 5, 9, dtype=dtype).to(memory_format=torch.channels_last),
        (3, 6, 1, 1),
    ),
    "a slice": (lambda dtype: values(9, 14, 40, dtype=dtype)[1:6, ::2, 3:36], (5, 7, 1)),
    "every second": (lambda dtype: values(5, 7, 66, dtype=dtype)[..., ::2], (5, 7, 1)),
    "expanded": (lambda dtype: values(5, 7, 1, dtype=dtype).expand(5, 7, 33), (5, 7, 1)),
    "a coin an element": (lambda dtype: values(5, 7, 33, dtype=dtype), (5, 7, 33)),
    "one coin": (lambda dtype: values(5, 7, 33, dtype=dtype), (1, 1, 1)),
    "a coin a step": (lambda dtype: values(5, 7, 33, dtype=dtype), (5, 1, 33)),
    "nothing": (lambda dtype: torch.empty(0, 7, 3, dtype=dtype), (0, 7, 1)),
    "no channel": (lambda dtype: torch.empty(4, 0, 3, dtype=dtype), (4, 0, 1)),
}
