"""Drives instruments of Keras layers on each backend: gradients are read from backward passes through the real layer."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters import keras_modes
from spatial_dropouts.adapters.keras_layers import KerasLayers
from spatial_dropouts.instruments import fixed

# what a call costs: a layer inside of a layer, whose loop JAX compiles at each eager call; a compiled one costs the call of a layer
_EAGER, _COMPILED = 2, 1

Pulled = Tuple[Any, Callable[[Any], Any]]  # an output, and what makes a gradient of a cotangent


class KerasInstrument(KerasLayers):
    """An instrument is a ``keras_shown.Shown``: a layer around the real one."""

    fixed: Mapping[str, str] = {
        **fixed.INPUT,
        **{name: reason for name, reason in fixed.BACKWARD.items() if name != "gradient.two-passes"},
    }

    def __init__(self, obj: Any, implementation: Any) -> None:
        super().__init__(obj, implementation)
        if self.backend == "torch":
            self.recompute_ways = ("checkpoint",)
        else:
            self.heavy = _EAGER

    def use(self, mode: str) -> None:
        super().use(mode)
        if mode in ("jit", "graph", "xla"):
            self.heavy = _COMPILED

    def layouts(self) -> Tuple[str, ...]:
        """The real layer's input is the instrument's own."""
        return ("contiguous",)

    def control(self) -> Any:
        """Raises Unsupported: what the instrument shows is the framework's own layer."""
        raise Unsupported("an instrument shows a layer of the framework's own")

    def fitted(self, layer: Any, shape: Tuple[int, ...]) -> Any:
        """The instrument with a real layer for this shape.

        Raises Unsupported for an empty input, where the instrument has no sizes.
        """
        if 0 in shape[1:]:
            raise Unsupported("the sizes of an instrument are its own: it has no empty axis but that of samples")
        with self.way.scope():
            layer.fit(tuple(shape))
        return layer

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        return super().apply(self.fitted(layer, x.shape), x, training)

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        return super().switched(self.fitted(layer, x.shape), x, training, way)

    def holder(self, layer: Any) -> Any:
        """The real layer, made for a small input where it was not called yet."""
        if layer.real is None:
            self.fitted(layer, self.contract.pattern.shape(4, 8, 2))
        return layer.real

    def copy_of(self, layer: Any, way: str, fresh: Callable[[], Any]) -> Any:
        """An instrument around a copy of the real layer."""
        real, sizes = self.holder(layer), layer.sizes
        made = fresh()
        made.sizes = sizes

        def bare() -> Any:
            other = made.bare()
            made.dress(other)
            return other

        copied = super().copy_of(real, way, bare)
        if not copied.built:
            made.dress(copied)
        made.take(copied)
        return made

    # --- gradients -------------------------------------------------------------------------------------------------

    def gradient(self, layer: Any, x: Any, cotangent: Any) -> Tuple[Any, Optional[Any]]:
        return self._shown(layer, x, cotangent, "")

    def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        """Like ``gradient``, with the real layer run again in the backward pass."""
        return self._shown(layer, x, cotangent, way)

    def passes(self, layer: Any, inputs: Sequence[Any], cotangents: Sequence[Any]) -> Any:
        """All forward passes through the real layer come first."""
        if not self.eager:
            raise Unsupported("several gradients of an instrument are asked of eager calls")
        made = [self._pulled(self.fitted(layer, x.shape), self.given(x), "") for x in inputs]
        gradients = [pull(c) for (_, pull), c in zip(made, cotangents)]
        again = made[0][1](cotangents[0])
        return [(y, g, again if i == 0 else None) for i, ((y, _), g) in enumerate(zip(made, gradients))]

    def twice(self, layer: Any, x: Any, cotangent: Any, direction: Any) -> Any:
        """Raises Unsupported: the gradient is put together by the instrument."""
        raise Unsupported("an instrument puts its gradient together: it has no derivative of it")

    @property
    def eager(self) -> bool:
        """Whether calls are made as they stand."""
        way = self.way
        return not (getattr(way, "jit", False) or getattr(getattr(way, "way", None), "run", None) is not None)

    def _shown(self, layer: Any, x: Any, cotangent: Any, way: str) -> Tuple[Any, Optional[Any]]:
        self.fitted(layer, x.shape)
        given = self.given(x)
        if self.backend == "tensorflow":

            def body(x: Any, cotangent: Any) -> Any:
                y, pull = self._pulled(layer, x, way)
                return y, pull(cotangent)

            traced = keras_modes._traced(layer)
            y, gradient = self.way.way.run(traced, f"shown gradient, {way}", body, given, cotangent)
        elif self.backend == "jax" and self.way.jit:
            raise Unsupported("gradients of an instrument are asked of calls that are not compiled")
        else:
            y, pull = self._pulled(layer, given, way)
            gradient = pull(cotangent)
        return y, gradient if not self.mixed else self.cast(gradient, self.dtype_of(x))

    def _pulled(self, layer: Any, x: Any, way: str) -> Pulled:
        """One training call through the real layer, and its backward pass for any cotangent of the instrument."""
        pulled = {"jax": self._by_jax, "tensorflow": self._by_tensorflow, "torch": self._by_torch}[self.backend]
        seen = self.keras.ops.cast(x, layer.compute_dtype)
        output, gradients = pulled(layer, seen, layer.carrier(seen), bool(way))

        def pull(cotangent: Any) -> Any:
            found = gradients([self.keras.ops.cast(c, output.dtype) for c in layer.cotangents(seen)])
            return None if found[0] is None else cotangent * layer.read_back(found, seen)

        return layer.shown(seen, output), pull

    def _by_torch(self, layer: Any, x: Any, carrier: Any, again: bool) -> Any:
        import torch
        from torch.utils.checkpoint import checkpoint

        with torch.enable_grad():
            carrier = carrier.detach().requires_grad_(True)

            def run(given: Any) -> Any:
                return layer(x, training=True, carrier=given, raw=True)

            output = checkpoint(run, carrier, use_reentrant=False) if again else run(carrier)

        def gradients(cotangents: List[Any]) -> List[Any]:
            if not output.requires_grad:
                return [None for _ in cotangents]
            return [torch.autograd.grad(output, carrier, c, retain_graph=True)[0] for c in cotangents]

        return output.detach(), gradients

    def _by_tensorflow(self, layer: Any, x: Any, carrier: Any, again: bool) -> Any:
        import tensorflow as tf

        def run(given: Any) -> Any:
            return layer(x, training=True, carrier=given, raw=True)

        with tf.GradientTape(persistent=True) as tape:
            tape.watch(carrier)
            output = tf.recompute_grad(run)(carrier) if again else run(carrier)
        return output, lambda cotangents: [tape.gradient(output, carrier, output_gradients=c) for c in cotangents]

    def _by_jax(self, layer: Any, x: Any, carrier: Any, again: bool) -> Any:
        import jax

        fixed, state = self.way.variables(layer)

        def run(given: Any) -> Any:
            return layer.stateless_call(fixed, state, x, training=True, carrier=given, raw=True)

        output, pull, moved = jax.vjp(jax.checkpoint(run) if again else run, carrier, has_aux=True)
        self.way.move(layer, moved)
        return output, lambda cotangents: [pull(c)[0] for c in cotangents]
