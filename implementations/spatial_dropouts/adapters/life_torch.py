"""PyTorch layers in daily use: copies, a new rate, graphs of calls, global settings, threads. See dropcheck.worker.life."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Optional, Sequence, Tuple

import torch

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters import torch_late, torch_tensors

Passed = Tuple[Any, Optional[Any], Optional[Any]]
_COPIES = ("copy.deepcopy", "pickle", "torch.save", "state_dict")


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    # the same switch as torch.use_deterministic_algorithms, which imports the whole of inductor for seconds
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def settings() -> Dict[str, Callable[[], ContextManager[Any]]]:
    """PyTorch's global settings that a training script changes, each as a context that restores it."""
    return {
        "no_grad": torch.no_grad,
        "enable_grad": torch.enable_grad,
        "inference_mode": torch.inference_mode,
        # their names hold no dtype: a case names its own
        "wider default dtype": lambda: _default_dtype(torch.float64),
        "narrower default dtype": lambda: _default_dtype(torch.bfloat16),
        "deterministic algorithms": _deterministic,
    }


def ambient() -> Dict[str, str]:
    """What is set globally, in words."""
    return {
        "gradient recording": str(torch.is_grad_enabled()),
        "inference mode": str(torch.is_inference_mode_enabled()),
        "default dtype": str(torch.get_default_dtype()),
        "deterministic algorithms": str(torch.are_deterministic_algorithms_enabled()),
        "number of threads": str(torch.get_num_threads()),
    }


def streams() -> Dict[str, Tuple[Callable[[int], Any], Callable[[], List[int]]]]:
    """PyTorch's global stream of the CPU, and how it is set."""
    return {"torch": (torch.manual_seed, lambda: [int(word) for word in torch.randint(2**31, (4,))])}


def passes(call: Callable[[Any], Any], inputs: Sequence[Any], cotangents: Sequence[Any]) -> List[Passed]:
    """All forward passes, then all backward passes in the same order, then the first one's once more."""
    with torch.enable_grad(), torch_late.unimported():
        given = [x.detach().requires_grad_(True) for x in inputs]
        outputs = [call(x) for x in given]

        def pulled(i: int) -> Optional[Any]:
            if not outputs[i].requires_grad:
                return None
            own = cotangents[i].clone()  # whoever writes into it is told so elsewhere
            (found,) = torch.autograd.grad(outputs[i], given[i], own, retain_graph=True, allow_unused=True)
            return found

        gradients = [pulled(i) for i in range(len(given))]
        again = pulled(0)
    return [(y.detach(), g, again if i == 0 else None) for i, (y, g) in enumerate(zip(outputs, gradients))]


def twice(call: Callable[[Any], Any], x: Any, cotangent: Any, direction: Any) -> Tuple[Any, Optional[Any]]:
    """One call; the derivative of <gradient, direction> by the cotangent, or None where none reaches it."""
    with torch.enable_grad(), torch_late.unimported():
        x, cotangent = x.detach().requires_grad_(True), cotangent.detach().requires_grad_(True)
        y = call(x)
        if not y.requires_grad:
            return y.detach(), None
        (gradient,) = torch.autograd.grad(y, x, cotangent, create_graph=True, allow_unused=True)
        if gradient is None or not gradient.requires_grad:
            return y.detach(), None
        try:
            # not torch.autograd.grad: it leaves out what does not lead to the cotangent, the refusal of once_differentiable too
            gradient.backward(direction)
        except RuntimeError as error:
            if "once_differentiable" in str(error) or "differentiate twice" in str(error):
                raise Unsupported("the backward pass is marked as one that is not differentiated again") from error
            raise
    return y.detach(), cotangent.grad


class TorchLife:
    """The optional methods of all PyTorch adapters."""

    contract: Any
    apply: Any

    def copy_ways(self) -> Dict[str, str]:
        stream = "apart" if self.contract.seeds[:1] == ("global",) else "kept"
        return dict.fromkeys(_COPIES, stream)

    def copy_of(self, layer: Any, way: str, fresh: Callable[[], Any]) -> Any:
        if not isinstance(layer, torch.nn.Module):
            raise Unsupported("a function has no state that could be copied")
        if way == "copy.deepcopy":
            return copy.deepcopy(layer)
        if way == "pickle":
            return pickle.loads(pickle.dumps(layer))
        if way == "torch.save":
            buffer = io.BytesIO()
            torch.save(layer, buffer)
            buffer.seek(0)
            return torch.load(buffer, weights_only=False)
        made = fresh()
        made.load_state_dict(layer.state_dict())
        return made

    def holder(self, layer: Any) -> Any:
        if not isinstance(layer, torch.nn.Module):
            raise Unsupported("a function is given its rate with each call")
        return layer

    def passes(self, layer: Any, inputs: Sequence[Any], cotangents: Sequence[Any]) -> List[Passed]:
        return passes(lambda x: self.apply(layer, x, True), inputs, cotangents)

    def twice(self, layer: Any, x: Any, cotangent: Any, direction: Any) -> Tuple[Any, Optional[Any]]:
        return twice(lambda x: self.apply(layer, x, True), x, cotangent, direction)

    def expanded(self, shape: Tuple[int, ...], dtype: str) -> Any:
        device = getattr(self, "device", None)
        return torch.ones((), dtype=torch_tensors.DTYPES[dtype], device=device).expand(shape)

    def settings(self) -> Dict[str, Callable[[], ContextManager[Any]]]:
        return settings()

    def ambient(self) -> Dict[str, str]:
        return ambient()

    def streams(self) -> Dict[str, Tuple[Callable[[int], Any], Callable[[], List[int]]]]:
        return streams()

    def threaded(self) -> None:
        """PyTorch's modules may be called from several threads, and its generators have locks."""

    def counts(self) -> Dict[str, Callable[[], ContextManager[Any]]]:
        return {"1": lambda: _threads(1), "2": lambda: _threads(2)}
