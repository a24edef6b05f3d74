"""Our own PyTorch layer: it selects instead of multiplying, and rounds each kept product once."""

from __future__ import annotations

from typing import Any, Tuple

import torch

from dropcheck.contract.promise import Pattern


class _Select(torch.autograd.Function):
    """Kept values x * scale, dropped values 0; the backward pass uses the same coins and the same scale."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, dropped: torch.Tensor, keep: float) -> torch.Tensor:
        ctx.save_for_backward(dropped)
        ctx.keep = keep
        return _Select.scaled(x, dropped, keep)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> Tuple[torch.Tensor, None, None]:
        (dropped,) = ctx.saved_tensors
        return _Select.scaled(cotangent, dropped, ctx.keep), None, None

    @staticmethod
    def scaled(x: torch.Tensor, dropped: torch.Tensor, keep: float) -> torch.Tensor:
        # a low-precision factor would shift every kept value by up to 0.3 %: divide wide, round the quotient once
        wide = x.to(torch.float64) if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
        # selecting keeps Inf and NaN of dropped channels out, where 0 * inf would let them through
        return torch.where(dropped, torch.zeros((), dtype=x.dtype, device=x.device), (wide / keep).to(x.dtype))


class SpatialDropout(torch.nn.Module):
    """Drop whole channels with probability ``rate`` in training; return the input in inference.

    ``pattern`` names the input axes and the axes that index the coins (default ``"n c l -> n c"``).
    Raises ValueError for a rate that is no probability, and for inputs of another rank than the pattern's.
    """

    def __init__(self, rate: float = 0.5, pattern: str = "n c l -> n c") -> None:
        super().__init__()
        if not 0 <= rate <= 1:  # written so, NaN is refused too
            raise ValueError(f"rate is a probability from 0 to 1, not {rate!r}")
        self.rate = float(rate)
        self.pattern = Pattern.parse(pattern)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` in the shape of the pattern; the output has its shape and dtype."""
        if not self.training or self.rate == 0:
            return x.clone()
        shape = self.pattern.noise_shape(tuple(x.shape))
        # drawn in float64 whatever the dtype of x: a bfloat16 uniform turns rate .3 into .3047
        dropped = torch.rand(shape, dtype=torch.float64, device=x.device) < self.rate
        keep = 1.0 - self.rate if self.rate < 1 else 1.0  # at rate 1 everything is dropped and nothing is divided
        result: torch.Tensor = _Select.apply(x, dropped, keep)
        return result

    def extra_repr(self) -> str:
        """Shown inside ``repr(model)``."""
        return f"rate={self.rate}, pattern={str(self.pattern)!r}"
