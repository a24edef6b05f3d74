"""Every random draw of a PyTorch model's forward pass: which operation, in which module, called from where, at which rate."""

from __future__ import annotations

import hashlib
import os
import sys
from types import FrameType
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from spatial_dropouts.adapters import draws_frames

_TORCH = os.path.dirname(torch.__file__) + os.sep
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_CALLS = os.path.join("torch", "nn", "modules", "module.py")  # where modules are called
_MOST = 10_000  # draws of one pass that are kept
_SEEDED = torch.Tag.nondeterministic_seeded
# where a public function holds its drop probability: the keyword, and its place among the positional arguments
_RATES: Dict[str, Tuple[str, int]] = {
    **{f"torch.nn.functional.{name}": ("p", 1) for name in ("dropout", "dropout1d", "dropout2d", "dropout3d")},
    **{f"torch.nn.functional.{name}": ("p", 1) for name in ("alpha_dropout", "feature_alpha_dropout")},
    **{f"torch.{name}": ("p", 1) for name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")},
    **{f"torch.{name}_": ("p", 1) for name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")},
    "torch.nn.functional.scaled_dot_product_attention": ("dropout_p", 4),
    "torch._C._nn.scaled_dot_product_attention": ("dropout_p", 4),
    "torch.nn.functional.multi_head_attention_forward": ("dropout_p", 10),
}
_RECURRENT = ("torch.lstm", "torch.gru", "torch.rnn_tanh", "torch.rnn_relu")


class Draws:
    """The draws of one pass, in their order. Each is a dictionary:

    ``op`` the operation that drew; ``function`` the public function around it, empty for none; ``module`` and ``kind`` the
    innermost module and its class; ``rate`` the drop probability, None where the operation has none; ``shape`` of what it
    drew; ``file``, ``line``, ``where``: the innermost line outside of PyTorch, and the function that it stands in; ``made``:
    whether a module drew that is none of the model's, as it was made during the pass.
    """

    def __init__(self, model: Any) -> None:
        self.found: List[Dict[str, Any]] = []
        self.states: List[str] = []
        self.names = {module: name for name, module in model.named_modules(remove_duplicate=True)}
        self.modules: List[Any] = [model]
        self.functions: List[Tuple[str, Optional[float]]] = []

    def take(self, op: str, args: Tuple[Any, ...], out: Any, before: bytes = b"") -> None:
        """One draw. ``before``: the state of its generator before it, which ``states`` keeps as a digest."""
        if len(self.found) >= _MOST:
            return
        module = self.modules[-1]
        rate = next((rate for _, rate in reversed(self.functions) if rate is not None), None)
        if rate is None and op.startswith("bernoulli"):
            kept = next((a for a in args[1:] if isinstance(a, float)), None)
            rate = None if kept is None else 1 - kept
        first = out[-1] if op == "native_dropout" else out[0] if isinstance(out, (tuple, list)) else out
        file, line, where, made, via = self._caller()
        self.states.append(hashlib.sha256(before).hexdigest()[:24] if before else "")
        self.found.append(
            {
                "op": op,
                "function": self.functions[0][0] if self.functions else "",
                "module": self.names.get(module, ""),
                "kind": type(module).__name__,
                "rate": rate,
                "shape": _sizes(first),
                "file": file,
                "line": line,
                "where": where,
                "made": made,
                "via": via,
            }
        )

    def _caller(self) -> Tuple[str, int, str, bool, List[str]]:
        """File, line and function of the innermost frame outside of PyTorch and this package, ``made``, and what led there."""
        made = False
        frame: Optional[FrameType] = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            if (
                frame.f_code is watched.__code__
            ):  # PyTorch called PyTorch, as a Sequential does: no line of the model's own
                break
            if not name.startswith((_TORCH, _HERE, "<")) and os.sep + "contextlib" not in name:
                return name, frame.f_lineno, frame.f_code.co_name, made, list(draws_frames.led(_outer(frame)))
            owner = frame.f_locals.get("self")
            made = made or (isinstance(owner, torch.nn.Module) and owner not in self.names)
            frame = frame.f_back
        return "", 0, "", made, []


def _outer(frame: FrameType) -> Iterator[Tuple[str, int]]:
    """The frames around one, up to the call of the module that it runs in."""
    around = frame.f_back
    while around is not None and not around.f_code.co_filename.endswith(_CALLS):
        yield around.f_code.co_filename, around.f_lineno
        around = around.f_back


def _sizes(tensor: Any) -> List[int]:
    """The shape of what was drawn; empty for a nested tensor, whose sizes are no numbers."""
    if getattr(tensor, "is_nested", False):
        return []
    return [int(n) for n in getattr(tensor, "shape", ())]


class _Operations(TorchDispatchMode):
    """Sees every operation that reaches a device; one draws if the state of a generator moves."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws

    def __torch_dispatch__(self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if _SEEDED not in getattr(func, "tags", ()):
            return func(*args, **given)
        own = [g for g in (*args, *given.values()) if isinstance(g, torch.Generator)]
        before = [g.get_state() for g in own] or [torch.get_rng_state()]
        out = func(*args, **given)
        after = [g.get_state() for g in own] or [torch.get_rng_state()]
        if any(not torch.equal(a, b) for a, b in zip(before, after)):
            state = b"".join(one.numpy().tobytes() for one in before)
            self.draws.take(func._schema.name.split("::")[-1], args, out, state)
        return out


class _Functions(TorchFunctionMode):
    """Knows which public function of PyTorch runs, and its drop probability."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws

    def __torch_function__(self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        name = resolve_name(func) or getattr(func, "__name__", "")
        self.draws.functions.append((name, _rate(name, args, given)))
        try:
            return func(*args, **given)
        finally:
            self.draws.functions.pop()


def _rate(name: str, args: Tuple[Any, ...], given: Dict[str, Any]) -> Optional[float]:
    if name in _RECURRENT:  # input, hidden, weights, biases, layers, dropout; of packed sequences one more before
        value = next((a for a in args if isinstance(a, float)), None)
    elif name in _RATES:
        keyword, place = _RATES[name]
        value = given.get(keyword, args[place] if len(args) > place else 0.5 if keyword == "p" else None)
    else:
        return None
    return float(value) if isinstance(value, (int, float)) else None


def watched(model: Any, run: Callable[[], Any]) -> Draws:
    """The draws of one call of ``run``, a forward pass of ``model``. Exceptions pass through."""
    draws = Draws(model)
    handles = [_stacked(module, draws.modules) for module in draws.names if module is not model]
    try:
        with _Functions(draws), _Operations(draws):
            run()
    finally:
        for handle in (h for pair in handles for h in pair):
            handle.remove()
    return draws


def _stacked(module: Any, stack: List[Any]) -> Iterator[Any]:
    def enter(entered: Any, _: Any) -> None:
        stack.append(entered)

    def leave(left: Any, _: Any, __: Any) -> None:
        while len(stack) > 1 and stack.pop() is not left:
            pass  # what raised inside and was caught left its own module on the stack

    return iter((module.register_forward_pre_hook(enter), module.register_forward_hook(leave)))
