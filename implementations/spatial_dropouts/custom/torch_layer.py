"""Our own PyTorch layer: it selects instead of multiplying, rounds each kept quotient once, and passes over memory once."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from dropcheck.contract.promise import Pattern
from spatial_dropouts.custom import selecting, torch_operator


class SpatialDropout(torch.nn.Module):
    """Drop whole channels with probability ``rate`` in training; return the input in inference.

    ``pattern`` names the input axes and the axes that index the coins (default ``"n c l -> n c"``). ``inplace`` writes the result
    into the input. Raises ValueError for a rate that is no probability, and ContractError for inputs of another rank than the
    pattern's.
    """

    def __init__(self, rate: float = 0.5, pattern: str = "n c l -> n c", inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= rate <= 1:  # written so, NaN is refused too
            raise ValueError(f"rate is a probability from 0 to 1, not {rate!r}")
        self.rate = float(rate)
        self.pattern = Pattern.parse(pattern)
        self.inplace = bool(inplace)
        self._shapes: Dict[
            torch.Size, Tuple[int, ...]
        ] = {}  # of the coins, by those of inputs: working them out takes longer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` in the shape of the pattern; the output has its shape and dtype."""
        if not self.training or self.rate == 0:
            return x
        if torch.compiler.is_compiling():
            shape = self.pattern.noise_shape(tuple(x.shape))
        else:
            known = self._shapes.get(x.shape)
            shape = self._remembered(x.shape) if known is None else known
        # drawn in float64 whatever the dtype of x: a bfloat16 uniform turns rate .3 into .3047
        draws = torch.rand(shape, dtype=torch.float64, device=x.device)
        return (_written if self.inplace else select)(x, draws, self.rate)

    def _remembered(self, shape: torch.Size) -> Tuple[int, ...]:
        if len(self._shapes) >= 64:
            self._shapes.clear()
        found = self._shapes[shape] = self.pattern.noise_shape(tuple(shape))
        return found

    def extra_repr(self) -> str:
        """Shown inside ``repr(model)``."""
        return f"rate={self.rate}, pattern={str(self.pattern)!r}" + (", inplace=True" if self.inplace else "")


def select(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    """0 where a draw is below ``rate``, ``x / (1 - rate)`` elsewhere: NaN and Inf of dropped channels stay out.

    ``draws``: float64 in [0, 1), with as many axes as ``x``, each of its size or 1. Differentiable any number of times.
    """
    if torch.compiler.is_compiling():
        return (
            torch_operator.select(x, draws, rate)
            if torch_operator.serves(x)
            else torch_operator.composed(x, draws, rate)
        )
    if not _plain(x):
        return torch_operator.composed(x, draws, rate)
    if x.requires_grad and torch.is_grad_enabled():
        result: torch.Tensor = _Select.apply(x, draws, rate)
        return result
    return torch_operator.on_cpu(x, draws, rate)


class _Select(torch.autograd.Function):
    """The backward pass has the same coins and the same quotient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
        ctx.save_for_backward(draws)
        ctx.rate = rate
        return torch_operator.on_cpu(x, draws, rate)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> Tuple[torch.Tensor, None, None]:
        (draws,) = ctx.saved_tensors
        return select(cotangent, draws, ctx.rate), None, None


def _written(x: torch.Tensor, draws: torch.Tensor, rate: float) -> torch.Tensor:
    """`select`, written into ``x``."""
    recorded = x.requires_grad and torch.is_grad_enabled()
    if torch.compiler.is_compiling() or recorded or not _plain(x) or 0 in x.stride():
        return x.copy_(select(x, draws, rate))  # which knows views, leaves and overlaps, and refuses what it must
    if selecting.in_one_pass(x, draws, rate, into=x) is None:
        return x.copy_(select(x, draws, rate))
    if not x.is_inference():
        torch.autograd.graph.increment_version(x)
    return x


def _plain(x: torch.Tensor) -> bool:
    """Whether the memory of ``x`` may be passed over directly: nothing that would have to see the operation is at work."""
    return (
        type(x) in (torch.Tensor, torch.nn.Parameter)
        and x.is_cpu
        and x.dtype in selecting.DTYPES
        and x.layout is torch.strided
        and torch._C._functorch.peek_interpreter_stack() is None  # vmap, jvp and their kin
        and forward_ad._current_level < 0
        and not is_in_torch_dispatch_mode()
        and not torch.jit.is_tracing()
        and not x.is_neg()
    )
