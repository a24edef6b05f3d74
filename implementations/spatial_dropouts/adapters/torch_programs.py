"""PyTorch programs: modules that were compiled, scripted, traced or exported before they were handed over."""

from __future__ import annotations

import copy
import types
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters.loading import NoDropout

_FACTORY = "name a factory that makes one of a rate (`def make(p): ...`), which is asked as a whole"

_MADE = 3  # exports of each rate and dtype before copies take their place


def unwrapped(module: Any) -> Any:
    """The module behind torch.compile, whose hooks and names are those that were written; any other as it is."""
    while type(module).__name__ == "OptimizedModule" and isinstance(
        getattr(module, "_orig_mod", None), torch.nn.Module
    ):
        module = module._orig_mod
    return module


class Function(torch.nn.Module):
    """A function of one tensor as a module without layers. ``flag``: its keyword that tells it to train, and the value then."""

    def __init__(self, function: Callable[..., Any], flag: Dict[str, bool]) -> None:
        super().__init__()
        self.function, self.flag = function, flag

    def forward(self, x: Any) -> Any:
        return self.function(x, **{name: on == self.training for name, on in self.flag.items()})


def kind_of(module: Any) -> str:
    """What program a module is: ``scripted``, ``traced`` or ``exported``; empty for a module of Python code."""
    if isinstance(module, torch.jit.ScriptModule):
        return "traced" if "Traced" in type(module).__name__ else "scripted"
    if getattr(module, "of_a_program", False):
        return "exported"
    return "exported" if isinstance(module, torch.fx.GraphModule) and not _switches(module) else ""


def _switches(module: Any) -> bool:
    """Whether the module can be told that it trains or infers; modules of exported programs refuse both."""
    try:
        module.train(module.training)
    except NotImplementedError:
        return False
    return True


class Exports:
    """Programs that a factory exported, by rate and dtype: after three of them, copies, which cost a twentieth of an export.

    Only of programs that are functions of their input: without parameters, buffers and constants, a copy is as fresh as another.
    """

    def __init__(self) -> None:
        self.made: Dict[Tuple[float, str], List[Any]] = {}

    def copied(self, rate: float, dtype: str) -> Optional[Any]:
        """A copy of the last one, where there have been enough of them."""
        some = self.made.get((rate, dtype), [])
        if len(some) < _MADE:
            return None
        made = copy.deepcopy(some[-1])
        for name in ("train", "eval"):  # which refuse; PyTorch's own copy takes both and goes on as it was exported
            if (refusing := vars(some[-1]).get(name)) is not None:
                setattr(made, name, types.MethodType(refusing.__func__, made))
        return made

    def keep(self, module: Any, rate: float, dtype: str) -> bool:
        """Whether the module is an exported program; it is kept where it holds nothing."""
        if not isinstance(module, torch.fx.GraphModule) or kind_of(module) != "exported":
            return False
        held = any(True for _ in module.parameters()) or any(True for _ in module.buffers())
        if not held and not any(node.op == "get_attr" for node in module.graph.nodes):
            self.made.setdefault((rate, dtype), []).append(module)
        return True


def refuse(model: Any, arguments: Callable[[], Any]) -> None:
    """Raise NoDropout for a model that is a program, with what is seen of it from outside.

    ``arguments``: makes (positional, keyword, remark) of a forward pass that runs; raises NoDropout where none does.
    """
    kind = kind_of(model)
    if not kind:
        return
    article = "an" if kind == "exported" else "a"
    try:
        args, kwargs, _ = arguments()
    except NoDropout as error:
        raise NoDropout(
            f"{article} {kind} program was given, whose layers cannot be asked one by one; {_FACTORY}"
        ) from error
    training = _random(model, args, kwargs, True)
    inference = _random(model, args, kwargs, False)
    seen = "its output differs from call to call" if training else "its output is the same in every call"
    if kind == "exported":
        seen += ", and it cannot be switched between training and inference"
    elif inference is not None:
        seen += " after train(), and " + (
            "after eval(), too: it drops in inference" if inference else "not after eval()"
        )
    raise NoDropout(f"{article} {kind} program was given, whose layers cannot be asked one by one: {seen}; {_FACTORY}")


def _random(model: Any, args: Any, kwargs: Any, training: bool) -> Optional[bool]:
    """Whether two calls on one input differ; None where the model cannot be switched so."""
    if _switches(model):
        model.train(training)
    elif not training:
        return None
    one, two = model(*args, **kwargs), model(*args, **kwargs)
    if not (torch.is_tensor(one) and torch.is_tensor(two)):
        return None
    return not torch.equal(one, two)


def switch(layer: Any, training: bool) -> None:
    """Tell a layer that it trains or infers. Raises Unsupported for one that runs in one way only and is asked for inference."""
    try:
        layer.train(training)
    except NotImplementedError as error:
        if not training:
            raise Unsupported(
                f"an exported program runs as it was exported and cannot be switched to inference: {error}"
            ) from error


def unasked(x: Any) -> str:
    """Why a layer is not asked with an input like this one: its kind, in words; empty where it can be asked."""
    if not torch.is_tensor(x):
        return f"a {type(x).__name__}"
    if x.is_nested:
        return "a nested tensor"
    if x.layout is not torch.strided:
        return "a sparse tensor"
    return "" if x.is_floating_point() else f"a {str(x.dtype).replace('torch.', '')} tensor"
