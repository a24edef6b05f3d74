"""The selection of ``torch_layer`` as PyTorch sees it: composed of its own operations, and as one operator for compiled graphs."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from spatial_dropouts.custom import selecting


def composed(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    """By operations that PyTorch differentiates, batches, exports and fuses itself."""
    keep = selecting.kept(rate)
    # a low-precision factor would shift every kept value by up to 0.3 %: divide wide, round the quotient once
    wide = x.to(torch.float64) if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
    # selecting keeps Inf and NaN of dropped channels out, where 0 * inf would let them through
    return torch.where(draws < rate, torch.zeros((), dtype=x.dtype, device=x.device), (wide / keep).to(x.dtype))


def on_cpu(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    """In one pass, or composed where the layout is too involved for that."""
    y = selecting.in_one_pass(x, draws, rate, into=None)
    return composed(x, draws, rate) if y is None else y


def serves(x: torch.Tensor) -> bool:
    """Whether a graph that is being compiled shall hold the operator: an exported one runs where we are not installed."""
    return x.device.type == "cpu" and x.dtype in selecting.DTYPES and not torch.compiler.is_exporting()


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


select: Any = torch.library.custom_op("spatial_dropouts::select", _select, mutates_args=(), device_types="cpu")
select.register_fake(_like)
select.register_autograd(_gradient, setup_context=_remember)
