"""PyTorch: module classes, factories and instances as they stand in a model, and plain functions on tensors."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, ContextManager, Iterator, Optional, Tuple

import torch

from dropcheck.contract.adapter import Implementation, Unsupported, global_generators_kept
from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.adapters import (
    accepts,
    placing,
    plain_twin,
    seeding,
    torch_late,
    torch_mode,
    torch_modes,
    torch_programs,
    torch_tensors,
)
from spatial_dropouts.adapters.life_torch import TorchLife
from spatial_dropouts.adapters.models_base import no_rate, rate_of

_NAMES = {dtype: name for name, dtype in torch_tensors.DTYPES.items()}


class TorchTensors(TorchLife):
    """What all PyTorch adapters share: tensors, layouts, modes and gradients."""

    framework = "torch"
    recompute_ways: Tuple[str, ...] = ("checkpoint", "reentrant-checkpoint")
    modes: Tuple[str, ...] = tuple(torch_modes.MODES)

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        self.obj, self.implementation = obj, implementation
        self.device = torch.device("cpu")
        self.mode: Optional[torch_mode.Mode] = None
        way = seeding.way_of(implementation, "global")
        self.contract: Contract = implementation.resolve_contract(Pattern.parse("n c l -> n c"), (way,))

    def version(self) -> str:
        return str(torch.__version__)

    def dtypes(self) -> Tuple[str, ...]:
        return tuple(torch_tensors.DTYPES)

    def place(self, device: str) -> None:
        """Have layers and tensors live on a device from now on. Raises Unsupported where this machine has none such."""
        placing.torch(device)
        self.device = torch.device(device)

    def use(self, mode: str) -> None:
        """Run every later call in a mode of torch_modes.py. Raises Unsupported with the reason where there is no such."""
        self.mode = torch_modes.MODES[mode](self)
        self.mode.enter()

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous", "strided", "transposed")

    def gradients(self) -> bool:
        return True

    def tensor(self, values: Any, dtype: str, layout: str = "contiguous") -> Any:
        return torch_tensors.laid_out(values, dtype, layout, self.device)

    def copies(self, x: Any, count: int) -> Any:
        """``count`` tensors like ``x``, strides included, each of memory that no other has."""
        return torch_tensors.copies(x, count)

    def held(self, shape: Tuple[int, ...], dtype: str, order: Tuple[int, ...], count: int) -> torch_tensors.Held:
        """Memory for outputs of many calls."""
        return torch_tensors.Held(shape, dtype, order, count)

    def array(self, tensor: Any) -> Any:
        return torch_tensors.array(tensor)

    def dtype_of(self, tensor: Any) -> str:
        return _NAMES.get(tensor.dtype, str(tensor.dtype).replace("torch.", ""))

    def seed(self, seed: Optional[int], way: str) -> None:
        """Seed what the layer draws from, if it is seeded globally."""
        seeding.sow(self.implementation, seed, way, torch_tensors.manual_seed)

    def recording(self, on: bool) -> ContextManager[Any]:
        return torch.enable_grad() if on else torch.no_grad()

    def track(self, x: Any) -> Any:
        return x.detach().requires_grad_(True)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        raise NotImplementedError

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        return self._differentiated(layer, x, cotangent, True)

    def inference_gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        """One inference call and its gradient, as ``gradient``."""
        if self.mode is not None:
            raise Unsupported("gradients in inference are asked of eager calls")
        return self._differentiated(layer, x, cotangent, False)

    def _differentiated(self, layer: Any, x: Any, cotangent: Any, training: bool) -> Tuple[Any, Optional[Any]]:
        with torch.enable_grad(), torch_late.unimported():
            x = x.detach().requires_grad_(True)
            y = self.apply(layer, x, training)
            if not torch.is_tensor(y):
                raise TypeError(f"the layer returned a {type(y).__name__}, expected a tensor like its input")
            if not y.requires_grad:
                return y.detach(), None
            (gradient,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
        return y.detach(), gradient

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the forward pass run again in the backward pass (torch.utils.checkpoint).

        Raises Unsupported for a layer that draws from a source of its own: PyTorch keeps its own generators' state only.
        """
        if self.implementation.seed is not None:
            raise Unsupported(
                "the layer is seeded by a function of its own; checkpointing restores PyTorch's generator only"
            )
        from torch.utils.checkpoint import checkpoint

        with torch.enable_grad(), torch_late.unimported():
            x = x.detach().requires_grad_(True)
            y = checkpoint(
                lambda given: self.apply(layer, given, True),
                x,
                use_reentrant=way == "reentrant-checkpoint",
                preserve_rng_state=True,
            )
            if not y.requires_grad:
                return y.detach(), None
            y.backward(cotangent)  # the reentrant way refuses torch.autograd.grad
        return y.detach(), x.grad

    @contextlib.contextmanager
    def _preserved(self) -> Iterator[None]:
        state, default, recording = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
        on_device = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        try:
            with global_generators_kept():
                yield
        finally:
            if self.mode is not None:
                self.mode.leave()
            torch.set_rng_state(state)
            if on_device:
                torch.cuda.set_rng_state_all(on_device)
            torch.set_default_dtype(default)
            torch.set_grad_enabled(recording)

    def preserved(self) -> ContextManager[Any]:
        return self._preserved()


class TorchLayers(TorchTensors):
    """Drives ``torch.nn.Module`` classes, factories that return a module, and one module as it stands."""

    switches: Tuple[str, ...] = ("eval()", "eval() of a parent", "setting .training")

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        self.exports = torch_programs.Exports()
        self.instance = isinstance(obj, torch.nn.Module)
        if self.instance:
            rate = rate_of(obj)
            if rate is None:
                raise no_rate(obj)
            self.contract = replace(self.contract, rates=(rate,))

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        self.seed(seed, way)
        if self.instance:
            return self.obj
        if way != "constructor" and (again := self.exports.copied(rate, dtype)) is not None:
            return again
        layer = self.implementation.construct(self.obj, rate, seeding.keyword(self.implementation, seed, way))
        if self.exports.keep(layer, rate, dtype):
            self.seed(seed, way)  # what the export drew is not drawn by a copy
        if not isinstance(layer, torch.nn.Module):
            raise TypeError(f"the factory returned a {type(layer).__name__}; expected a torch.nn.Module")
        if any(p.is_floating_point() for p in layer.parameters()):
            layer = layer.to(torch_tensors.DTYPES[dtype])
        if self.device.type != "cpu":
            layer = layer.to(self.device)
        torch_programs.switch(layer, True)
        if way == "constructor":
            # kept for reseeding, which then means a new layer
            layer._dropcheck_made = (rate, dtype)
        return layer

    def control(self) -> Any:
        """Like this one, of PyTorch's own plain layer, in the same mode: what it fails too is not a layer's own failure."""
        return plain_twin(self, torch.nn.Dropout)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        if way == "constructor":
            rate, dtype = layer._dropcheck_made
            return self.make(rate, dtype, seed, way)
        self.seed(seed, way)
        return layer

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if layer.training != training:
            torch_programs.switch(layer, training)
        return layer(x)

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        """One call after eval() or train() of the layer or of a model around it, or after setting the flag in all its parts."""
        if torch_programs.kind_of(layer) == "exported":
            raise Unsupported("an exported program runs as it was exported: nothing switches it")
        try:
            if way != "setting .training":
                told = torch.nn.Sequential(layer) if way == "eval() of a parent" else layer
                told.train() if training else told.eval()
            else:
                for module in layer.modules():
                    module.training = training
        except Exception as error:  # compiled, scripted and exported modules take one way or none
            raise Unsupported(f"{type(layer).__name__} cannot be switched by {way}: {type(error).__name__}") from error
        return layer(x)


class TorchFunctions(TorchTensors):
    """Drives plain functions ``f(x, rate, *, training)`` on tensors; one without training is called in training only."""

    framework = "torch"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        seeding.function_only(implementation, obj)
        self.inference = accepts(obj, "training")

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        self.seed(seed, way)
        value = 1 - rate if self.implementation.keep_probability else rate
        name, options = self.implementation.rate_argument, dict(self.implementation.options)
        if name is not None:
            return lambda x, given: self.obj(x, **{name: value}, **given, **options)
        return lambda x, given: self.obj(x, value, **given, **options)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        self.seed(seed, way)
        return layer

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if not self.inference:
            return layer(x, {}) if training else x  # inference is its caller's business
        return layer(x, {"training": training})
