"""Our own PyTorch layer: it selects instead of multiplying, rounds each kept quotient once, and passes over memory once."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple, Union

import torch
from torch.autograd import forward_ad
from torch.utils import _python_dispatch

from dropcheck.contract.promise import Pattern
from spatial_dropouts.custom import on_gpu, selecting, torch_operator
from spatial_dropouts.custom.exact import probability


class SpatialDropout(torch.nn.Module):
    """Drop whole channels with probability ``rate`` in training; return the input in inference.

    ``pattern`` names the input axes and the axes that index the coins (default ``"n c l -> n c"``). ``inplace`` writes the result
    into the input. Raises ValueError for a rate that is no probability, and ContractError for inputs of another rank than the
    pattern's.
    """

    def __init__(self, rate: float = 0.5, pattern: str = "n c l -> n c", inplace: bool = False) -> None:
        super().__init__()
        self.rate = probability(rate)
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
            return self._composed(x, self.pattern.noise_shape(tuple(x.shape)))
        known = self._shapes.get(x.shape)
        shape = self._remembered(x.shape) if known is None else known
        if not _known(x):
            return self._composed(x, shape)
        coins = shape, self.rate, selecting.key() if x.is_cpu else on_gpu.key(x.device)
        if not _watched():
            return _written(x, coins) if self.inplace else _recorded(x, coins)
        # the same coins by PyTorch's operations: a recomputed forward pass may be watched where the first was not
        y = select(x, coins)
        return x.copy_(y) if self.inplace else y

    def _composed(self, x: torch.Tensor, shape: Tuple[int, ...]) -> torch.Tensor:
        """By PyTorch's own operations, or our operator in a graph: it draws other coins from the same seed."""
        # drawn in float64 whatever the dtype of x: a bfloat16 uniform turns rate .3 into .3047
        drops = torch.rand(shape, dtype=torch.float64, device=x.device) < self.rate
        by = (
            torch_operator.select
            if torch.compiler.is_compiling() and torch_operator.serves(x)
            else torch_operator.composed
        )
        y: torch.Tensor = by(x, drops, self.rate)
        return x.copy_(y) if self.inplace else y  # copy_ knows views, leaves and overlaps, and refuses what it must

    def _remembered(self, shape: torch.Size) -> Tuple[int, ...]:
        if len(self._shapes) >= 64:
            self._shapes.clear()
        found = self._shapes[shape] = self.pattern.noise_shape(tuple(shape))
        return found

    def extra_repr(self) -> str:
        """Shown inside ``repr(model)``."""
        return f"rate={self.rate}, pattern={str(self.pattern)!r}" + (", inplace=True" if self.inplace else "")


# two numbers, or a tensor of them on a GPU
Coins = Tuple[Tuple[int, ...], float, Union[selecting.Key, torch.Tensor]]


def select(x: torch.Tensor, coins: Coins) -> torch.Tensor:
    """0 where a coin drops, ``x / (1 - rate)`` elsewhere: NaN and Inf of dropped channels stay out.

    ``coins``: their shape (as many axes as ``x``, each of its size or 1), the rate and the key. Differentiable any number of times.
    """
    return _recorded(x, coins) if _plain(x) else torch_operator.composed(x, _drawn(coins), coins[1])


def _recorded(x: torch.Tensor, coins: Coins) -> torch.Tensor:
    return _differentiable(x, coins) if x.requires_grad and torch.is_grad_enabled() else _passed(x, coins)


def _passed(x: torch.Tensor, coins: Coins) -> torch.Tensor:
    """In one pass, or composed where the layout is too involved for that."""
    y = _pass(coins).in_one_pass(x, *coins)
    return torch_operator.composed(x, _drawn(coins), coins[1]) if y is None else y


def _pass(coins: Coins) -> Any:
    """What can make one pass of these coins: the compiled function of the CPU, or the kernel of GPUs."""
    return selecting if type(coins[2]) is tuple else on_gpu


def _drawn(coins: Coins) -> torch.Tensor:
    """The coins themselves: bool, True to drop."""
    drops: torch.Tensor = _pass(coins).coins(*coins)
    return drops


class _Select(torch.autograd.Function):
    """The backward pass draws the same coins again, and makes the same quotient; nothing is saved but their key."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, coins: Coins) -> torch.Tensor:
        ctx.coins = coins
        return _passed(x, coins)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> Tuple[torch.Tensor, None]:
        return select(cotangent, ctx.coins), None


# without what `Function.apply` does for vmap, jvp and their kin: none is at work where the input is plain
_differentiable: Callable[[torch.Tensor, Coins], torch.Tensor] = super(torch.autograd.Function, _Select).apply


def _written(x: torch.Tensor, coins: Coins) -> torch.Tensor:
    """`select`, written into ``x``."""
    recorded = x.requires_grad and torch.is_grad_enabled()
    if recorded or 0 in x.stride() or _pass(coins).in_one_pass(x, *coins, into=x) is None:
        return x.copy_(_recorded(x, coins))
    if not x.is_inference():
        torch.autograd.graph.increment_version(x)
    return x


_TYPES = (torch.Tensor, torch.nn.Parameter)
_is_tracing = torch._C._is_tracing
_functorch_at_work = torch._C._functorch.peek_interpreter_stack
_watched = _python_dispatch.is_in_torch_dispatch_mode


def _plain(x: torch.Tensor) -> bool:
    """Whether the memory of ``x`` may be passed over directly: nothing that would have to see the operation is at work."""
    return _known(x) and not _watched()


def _known(x: torch.Tensor) -> bool:
    """Whether ``x`` is a plain array of numbers, and its coins can be drawn by a key."""
    return (
        type(x) in _TYPES
        and (x.dtype in selecting.DTYPES if x.is_cpu else x.is_cuda)
        and x.layout is torch.strided
        and _functorch_at_work() is None  # vmap, jvp and their kin
        and forward_ad._current_level < 0
        and not _is_tracing()
        and not x.is_neg()
        and (x.is_cpu or on_gpu.serves(x.device, x.dtype))
    )
