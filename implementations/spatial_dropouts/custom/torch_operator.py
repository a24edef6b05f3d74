"""The selection of ``torch_layer`` as PyTorch sees it: composed of its own operations, and as one operator for compiled graphs."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from spatial_dropouts.custom import selecting
from spatial_dropouts.custom.exact import fraction, kept


def composed(x: torch.Tensor, drops: torch.Tensor, rate: float) -> torch.Tensor:
    """0 where ``drops`` is true, ``x / (1 - rate)`` elsewhere, by operations that PyTorch itself differentiates and fuses."""
    if x.dtype == torch.float64:
        # there is no wider dtype: 1 - rate would be rounded, and shift all kept values alike
        up, down = fraction(rate)
        quotient = x * up / down
    else:
        # a low-precision factor would shift every kept value by up to 0.3 %: divide wide, round the quotient once
        wide = x.to(torch.float64 if x.dtype == torch.float32 else torch.float32)
        quotient = (wide / kept(rate)).to(x.dtype)
    # selecting keeps Inf and NaN of dropped channels out, where 0 * inf would let them through
    return torch.where(drops, torch.zeros((), dtype=x.dtype, device=x.device), quotient)


def serves(x: torch.Tensor) -> bool:
    """Whether a graph that is being compiled shall hold the operator: an exported one runs where we are not installed."""
    return select is not None and x.device.type == "cpu" and x.dtype in selecting.DTYPES and not _is_exporting()


def _select(x: torch.Tensor, drops: torch.Tensor, rate: float) -> torch.Tensor:
    """See ``torch_layer.select``; on the CPU. In one pass, or composed where the layout is too involved for that."""
    y = selecting.by_coins(x, drops, rate)
    return composed(x, drops, rate) if y is None else y


def _like(x: torch.Tensor, drops: torch.Tensor, rate: float) -> torch.Tensor:
    return torch.empty_like(x)


def _remember(ctx: Any, inputs: Tuple[torch.Tensor, torch.Tensor, float], output: torch.Tensor) -> None:
    _, drops, ctx.rate = inputs
    ctx.save_for_backward(drops)


def _gradient(ctx: Any, cotangent: torch.Tensor) -> Tuple[torch.Tensor, None, None]:
    (drops,) = ctx.saved_tensors
    result: torch.Tensor = select(cotangent, drops, ctx.rate)
    return result, None, None


select: Any = None
_is_exporting: Any = getattr(torch.compiler, "is_exporting", None)
if (
    hasattr(torch.library, "custom_op") and _is_exporting
):  # PyTorch 2.6 on; graphs of earlier ones hold its own operations
    select = torch.library.custom_op("spatial_dropouts::select", _select, mutates_args=(), device_types="cpu")
    select.register_fake(_like)
    select.register_autograd(_gradient, setup_context=_remember)
