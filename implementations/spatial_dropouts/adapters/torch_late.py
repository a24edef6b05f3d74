"""What PyTorch imports late in its first backward pass, and what eager layers can be asked without."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any, Callable, Iterator, Sequence, Tuple

import torch

# Measured with PyTorch 2.13: .7 s of the processor and 35 MB for the compiler, which is imported to be switched off around a
# checkpoint; .3 s and 35 MB for symbolic sizes (SymPy), which are imported to compare a gradient's sizes with an output's.
COMPILER, SYMBOLS = "torch._dynamo", "torch.fx.experimental.symbolic_shapes"
_SWITCHED_OFF = "__dynamo_disable"  # where torch._disable_dynamo keeps what it makes of a function at its first call
_PLAIN = (torch.Tensor, torch.nn.Parameter)

Make = Callable[..., Tuple[Any, ...]]


class _Standing:
    """Stands for a module of which ``known`` is all that is needed; whoever asks for more gets the real one's, imported then."""

    def __init__(self, module: str, **known: Any) -> None:
        self.__dict__.update(known, module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.module), name)


def _never_compiled(function: Any = None, *options: Any, **more: Any) -> Any:
    """What ``torch._dynamo.disable`` makes of a function where nothing compiles: itself."""
    return function if function is not None else _never_compiled


@contextlib.contextmanager
def unimported() -> Iterator[None]:
    """Backward passes and checkpoints in this block import neither, as far as the layer does not; PyTorch is itself afterwards.

    What is not imported compiles nothing, so that there is nothing to be switched off; where it is imported, or where PyTorch
    has other functions, nothing is changed. Sizes are compared here where all are numbers, by PyTorch in every other case.
    """
    with contextlib.ExitStack() as stack:
        if COMPILER not in sys.modules:
            from torch.utils import checkpoint

            for name in ("checkpoint", "_run_fn_with_dynamo_disabled"):
                inner = getattr(getattr(checkpoint, name, None), "__wrapped__", None)
                if inner is not None and not hasattr(inner, _SWITCHED_OFF):
                    setattr(inner, _SWITCHED_OFF, inner)
                    stack.callback(delattr, inner, _SWITCHED_OFF)
            if "_dynamo" not in vars(
                torch
            ):  # the setting is read at each checkpoint, and used only where programs are traced
                config = _Standing(f"{COMPILER}.config", error_on_nested_fx_trace=True)
                vars(torch)["_dynamo"] = standing = _Standing(COMPILER, config=config, disable=_never_compiled)
                stack.callback(lambda: vars(torch)["_dynamo"] is standing and vars(torch).pop("_dynamo"))
        make = getattr(torch.autograd, "_make_grads", None)
        if make is not None and SYMBOLS not in sys.modules:
            torch.autograd._make_grads = compared(make)
            stack.callback(setattr, torch.autograd, "_make_grads", make)
        yield


def compared(make: Make) -> Make:
    """Like ``make``, PyTorch's own: gradients that fit their outputs for sure are taken as they are, all others go to it."""

    def made(outputs: Sequence[Any], grads: Sequence[Any], *batched: Any, **named: Any) -> Tuple[Any, ...]:
        asked_more = any(batched) or any(named.values()) or SYMBOLS in sys.modules or len(outputs) != len(grads)
        if asked_more or not all(map(_fits, outputs, grads)):
            return make(outputs, grads, *batched, **named)
        return tuple(grads)

    return made


def _fits(output: Any, gradient: Any) -> bool:
    """Whether both are plain tensors of the same sizes, both or neither of complex numbers."""
    return (
        type(output) in _PLAIN
        and type(gradient) in _PLAIN
        and not (output.is_nested or gradient.is_nested)
        and bool(output.shape == gradient.shape)
        and bool(output.dtype.is_complex == gradient.dtype.is_complex)
    )
