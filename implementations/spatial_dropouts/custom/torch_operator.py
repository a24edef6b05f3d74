"""The selection of ``torch_layer`` as PyTorch sees it: composed of its own operations, and as one operator for compiled graphs."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Tuple

import torch

from spatial_dropouts.custom import selecting


def composed(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    """By operations that PyTorch differentiates, batches, exports and fuses itself."""
    if x.dtype == torch.float64:
        # there is no wider dtype: 1 - rate would be rounded, and shift all kept values alike
        up, down = fraction(rate)
        kept = x * up / down
    else:
        # a low-precision factor would shift every kept value by up to 0.3 %: divide wide, round the quotient once
        kept = (x.to(torch.float64 if x.dtype == torch.float32 else torch.float32) / selecting.kept(rate)).to(x.dtype)
    # selecting keeps Inf and NaN of dropped channels out, where 0 * inf would let them through
    return torch.where(draws < rate, torch.zeros((), dtype=x.dtype, device=x.device), kept)


def fraction(rate: float) -> Tuple[float, float]:
    """Two numbers whose quotient is 1 / (1 - rate), but for an eighth of a rounding of float64 or less; (1, 1) at rate 1.

    1 - rate itself is off by up to half a rounding. The first is above 1/2 and the second in (1/2, 1], so that the product with the
    first neither vanishes nor overflows before the result does.
    """
    factor = 1 / (1 - Fraction(rate)) if rate < 1 else Fraction(1)
    near = factor.limit_denominator(max(1, 2**53 // math.ceil(factor)))
    unit = 2 ** (near.denominator - 1).bit_length()
    return near.numerator / unit, near.denominator / unit


def on_cpu(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    """In one pass, or composed where the layout is too involved for that."""
    y = selecting.in_one_pass(x, draws, rate, into=None)
    return composed(x, draws, rate) if y is None else y


def serves(x: torch.Tensor) -> bool:
    """Whether a graph that is being compiled shall hold the operator: an exported one runs where we are not installed."""
    return select is not None and x.device.type == "cpu" and x.dtype in selecting.DTYPES and not _is_exporting()


def _select(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    """See ``torch_layer.select``; on the CPU."""
    return on_cpu(x, draws, rate)


def _like(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    return torch.empty_like(x)


def _remember(ctx: Any, inputs: Tuple[torch.Tensor, torch.Tensor, float], output: torch.Tensor) -> None:
    _, draws, ctx.rate = inputs
    ctx.save_for_backward(draws)


def _gradient(ctx: Any, cotangent: torch.Tensor) -> Tuple[torch.Tensor, None, None]:
    (draws,) = ctx.saved_tensors
    result: torch.Tensor = select(cotangent, draws, ctx.rate)
    return result, None, None


select: Any = None
_is_exporting: Any = getattr(torch.compiler, "is_exporting", None)
if (
    hasattr(torch.library, "custom_op") and _is_exporting
):  # PyTorch 2.6 on; graphs of earlier ones hold its own operations
    select = torch.library.custom_op("spatial_dropouts::select", _select, mutates_args=(), device_types="cpu")
    select.register_fake(_like)
    select.register_autograd(_gradient, setup_context=_remember)
