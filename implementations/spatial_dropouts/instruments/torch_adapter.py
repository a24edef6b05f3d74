"""Drives instruments of PyTorch layers: gradients are read from a backward pass through the real layer."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple

import torch

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters.torch_layers import TorchLayers
from spatial_dropouts.instruments import fixed

_ROUNDED = "without dropout the gradient through the whole layer is rounded by its own sums"


class TorchInstrument(TorchLayers):
    """An instrument is a module with ``carrier(x)``, ``run(carrier)``, ``read(output, x)``, ``cotangent(output, x)`` and
    ``read_back(gradient, x)``: what is fed to the real layer, its output, the mask times scale that the output shows in the
    shape of x, the gradient of the output that makes a backward pass show them, and what that pass shows. ``rounds``: whether
    its gradients without dropout are rounded.
    """

    fixed: Mapping[str, str] = {**fixed.INPUT, **fixed.RATE, **fixed.THREADS, **fixed.BACKWARD}

    @property
    def returns_weights(self) -> bool:
        """Whether the instrument has ``returned(x)``: see ``weights``."""
        return hasattr(self.obj, "returned")

    def weights(self, layer: Any, x: Any) -> Tuple[Any, Any]:
        """One training call that returns attention weights: these, and mask times scale as the output shows them, both as x."""
        layer.train(True)
        with torch.no_grad():
            found: Tuple[Any, Any] = layer.returned(x)
        return found

    def layouts(self) -> Tuple[str, ...]:
        return ("contiguous",)

    def use(self, mode: str) -> None:
        """Raises Unsupported in modes that need an input of the layer that can be chosen, as vmap does."""
        if mode in fixed.TORCH:
            raise Unsupported(fixed.TORCH[mode])
        super().use(mode)

    def control(self) -> Any:
        """Raises Unsupported: what the instrument shows is the framework's own layer."""
        raise Unsupported("an instrument shows a layer of the framework's own")

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        """Raises Unsupported at rate 0 where the layer's own sums round the gradient."""
        if layer.p == 0 and getattr(layer, "rounds", False):
            raise Unsupported(_ROUNDED)
        return self._shown(layer, x, cotangent, layer.run)

    def inference_gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        """One inference call and its gradient; raises Unsupported as ``gradient`` at rate 0."""
        if getattr(layer, "rounds", False):
            raise Unsupported(_ROUNDED)
        return self._shown(layer, x, cotangent, layer.run, False)

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the real layer run again in the backward pass (torch.utils.checkpoint)."""
        from torch.utils.checkpoint import checkpoint

        def run(carrier: Any) -> Any:
            return checkpoint(layer.run, carrier, use_reentrant=way == "reentrant-checkpoint", preserve_rng_state=True)

        return self._shown(layer, x, cotangent, run)

    def _shown(self, layer: Any, x: Any, cotangent: Any, run: Any, training: bool = True) -> Tuple[Any, Optional[Any]]:
        if self.mode is not None:
            raise Unsupported("gradients of an instrument are asked of eager calls")
        if layer.training != training:
            layer.train(training)
        with torch.enable_grad():
            given = x.detach()
            carrier = layer.carrier(given).detach().requires_grad_(True)
            output = run(carrier)
            y = given * layer.read(output, given)
            if not output.requires_grad:
                return y.detach(), None
            output.backward(layer.cotangent(output, given))
        return y.detach(), cotangent * layer.read_back(carrier.grad, given)
