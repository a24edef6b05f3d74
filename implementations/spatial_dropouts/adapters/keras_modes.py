"""Keras: how a layer is called on each backend, plainly, traced, compiled or over replicas, and differentiated."""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager, Dict, Optional, Tuple

from dropcheck.contract.adapter import Unsupported

# Modes beside eager, by backend; ``mixed`` is a dtype policy and goes with every backend.
MODES: Dict[str, Tuple[str, ...]] = {
    "tensorflow": ("graph", "xla", "mixed", "ranks"),
    "jax": ("jit", "mixed"),
    "torch": ("mixed",),
}

# What reruns the forward pass in the backward pass, by backend. keras.remat is one of these underneath.
RECOMPUTE: Dict[str, Tuple[str, ...]] = {"tensorflow": ("tf.recompute_grad",), "jax": ("jax.checkpoint",)}

Gradient = Tuple[Any, Optional[Any]]


def _traced(layer: Any) -> Dict[str, Any]:
    """What was traced or compiled for one layer, kept on it, past its own tracking of attributes."""
    return vars(layer).setdefault("_dropcheck_traced", {})


class OnTorch:
    """Plain calls, on PyTorch and on backends that have no gradients here."""

    def scope(self) -> ContextManager[Any]:
        """The context in which layers are made."""
        return contextlib.nullcontext()

    def call(self, layer: Any, x: Any, training: bool) -> Any:
        """One call; ``layer(x, training=...)``."""
        return layer(x, training=training)

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Gradient:
        """One training call: (output, gradient or None)."""
        import torch

        from spatial_dropouts.adapters import torch_late

        with torch.enable_grad(), torch_late.unimported():
            x = x.detach().requires_grad_(True)
            y = self.call(layer, x, True)
            if not y.requires_grad:
                return y.detach(), None
            (gradient,) = torch.autograd.grad(y, x, cotangent, allow_unused=True)
        return y.detach(), gradient

    def recompute(self, layer: Any, x: Any, cotangent: Any) -> Gradient:
        """Like ``gradient``, with the forward pass run again in the backward pass."""
        raise Unsupported("this backend's checkpointing is not asked for")


class OnTensorflow(OnTorch):
    """Calls as they stand, inside a tf.function, compiled by XLA, or over two replicas."""

    def __init__(self, mode: str) -> None:
        from spatial_dropouts.adapters.tensorflow_modes import way_of

        self.way = way_of(mode)

    def scope(self) -> ContextManager[Any]:
        return self.way.scope()

    def call(self, layer: Any, x: Any, training: bool) -> Any:
        def body(x: Any) -> Any:
            return layer(x, training=training)

        return self.way.run(_traced(layer), f"training={training}", body, x)

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Gradient:
        return self._pulled(layer, x, cotangent, recomputed=False)

    def recompute(self, layer: Any, x: Any, cotangent: Any) -> Gradient:
        return self._pulled(layer, x, cotangent, recomputed=True)

    def _pulled(self, layer: Any, x: Any, cotangent: Any, recomputed: bool) -> Gradient:
        from spatial_dropouts.adapters.tensorflow_modes import differentiated

        body = differentiated(lambda x: layer(x, training=True), recomputed)
        y, gradient = self.way.run(_traced(layer), f"gradient, recomputed={recomputed}", body, x, cotangent)
        return y, gradient


class OnJax(OnTorch):
    """Calls as they stand, or the stateless call compiled with the seed state carried, as Keras' own training step does."""

    def __init__(self, mode: str) -> None:
        self.jit = mode == "jit"

    def call(self, layer: Any, x: Any, training: bool) -> Any:
        if not self.jit:
            y = layer(x, training=training)
        else:
            import jax

            traced, name = _traced(layer), f"training={training}"
            if name not in traced:
                traced[name] = jax.jit(
                    lambda fixed, state, inputs: layer.stateless_call(fixed, state, inputs, training=training)
                )
            y, moved = traced[name](*self.variables(layer), x)
            self.move(layer, moved)
        wait = getattr(y, "block_until_ready", None)  # what is no tensor is told by whoever reads it
        if wait is not None:
            wait()
        return y

    def variables(self, layer: Any) -> Tuple[Any, Any]:
        """The values of the layer's trainable and other variables, of a layer that is built, as it is inside a model."""
        if not layer.built:
            layer.build(None)  # older releases leave it to the first plain call, and a stateless call refuses
        return [v.value for v in layer.trainable_variables], [v.value for v in layer.non_trainable_variables]

    def move(self, layer: Any, moved: Any) -> None:
        """The seed state moves on, as it does in a plain call."""
        for variable, value in zip(layer.non_trainable_variables, moved):
            variable.assign(value)

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Gradient:
        return self.pulled(layer, x, cotangent, checkpointed=False)

    def recompute(self, layer: Any, x: Any, cotangent: Any) -> Gradient:
        return self.pulled(layer, x, cotangent, checkpointed=True)

    def pulled(self, layer: Any, x: Any, cotangent: Any, checkpointed: bool) -> Gradient:
        """One stateless call and its gradient, recomputed in the backward pass or not, compiled as a whole or not."""
        import jax

        def both(fixed: Any, state: Any, inputs: Any, cotangent: Any) -> Any:
            def forward(inputs: Any) -> Any:
                # the stateless call of a single layer does not cast its input, as the call inside a model does
                return layer.stateless_call(fixed, state, inputs.astype(layer.compute_dtype), training=True)

            y, pull, moved = jax.vjp(jax.checkpoint(forward) if checkpointed else forward, inputs, has_aux=True)
            return y, pull(cotangent)[0], moved

        traced, name = _traced(layer), f"gradient, checkpointed={checkpointed}"
        if name not in traced:
            traced[name] = jax.jit(both) if self.jit else both
        y, gradient, moved = traced[name](*self.variables(layer), x, cotangent)
        self.move(layer, moved)
        return y, gradient


def way_of(backend: str, mode: str) -> OnTorch:
    """How a backend's layers are called in a mode."""
    if backend == "tensorflow":
        return OnTensorflow(mode)
    return OnJax(mode) if backend == "jax" else OnTorch()
