"""Keras layers in daily use, on each backend: copies, a new rate, graphs of calls, global settings. See dropcheck.worker.life."""

from __future__ import annotations

import contextlib
import copy
import pickle
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Optional, Sequence, Tuple

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters import keras_seeding

Passed = Tuple[Any, Optional[Any], Optional[Any]]


def _copied(layer: Any, way: str) -> Any:
    return copy.deepcopy(layer) if way == "copy.deepcopy" else pickle.loads(pickle.dumps(layer))


class KerasLife:
    """The optional methods of the Keras adapters."""

    keras: Any
    backend: str
    contract: Any
    apply: Any
    way: Any

    def copy_ways(self) -> Dict[str, str]:
        # a layer without a seed has none in its configuration: what is made of it draws a seed of its own; a copy of the
        # object has the state of its seed generator
        made = "apart" if self.contract.seeds[:1] == ("global",) else "kept"
        return {
            "from_config(get_config())": made,
            "clone_model": made,
            "set_weights(get_weights())": made,
            "copy.deepcopy": "kept",
            "pickle": "kept",
        }

    def copy_of(self, layer: Any, way: str, fresh: Callable[[], Any]) -> Any:
        if way.startswith("from_config"):
            made = type(layer).from_config(layer.get_config())
        elif way == "clone_model":
            made = self.keras.models.clone_model(self.keras.Sequential([layer])).layers[-1]
        elif way.startswith("set_weights"):
            made = fresh()
            made.set_weights(layer.get_weights())
        else:
            made = keras_seeding.spared(self.backend, lambda: _copied(layer, way))
        made._dropcheck_made = getattr(layer, "_dropcheck_made", None)
        return made

    def holder(self, layer: Any) -> Any:
        return layer

    def passes(self, layer: Any, inputs: Sequence[Any], cotangents: Sequence[Any]) -> List[Passed]:
        if self.backend == "jax":
            made = [self._pulls(layer, x) for x in inputs]
            gradients = [pull(c)[0] for (_, pull), c in zip(made, cotangents)]
            again = made[0][1](cotangents[0])[0]
            return [(y, g, again if i == 0 else None) for i, ((y, _), g) in enumerate(zip(made, gradients))]
        return list(self._tapes().passes(lambda x: self.apply(layer, x, True), inputs, cotangents))

    def twice(self, layer: Any, x: Any, cotangent: Any, direction: Any) -> Tuple[Any, Optional[Any]]:
        if self.backend == "jax":
            import jax

            y, pull = self._pulls(layer, x)
            return y, jax.vjp(lambda c: pull(c)[0], cotangent)[1](direction)[0]
        y, second = self._tapes().twice(lambda x: self.apply(layer, x, True), x, cotangent, direction)
        return y, second

    def _pulls(self, layer: Any, x: Any) -> Tuple[Any, Any]:
        """The output of one stateless call and its pull-back; the seed state moves on."""
        import jax

        fixed, state = self.way.variables(layer)

        def forward(x: Any) -> Any:
            return layer.stateless_call(fixed, state, x.astype(layer.compute_dtype), training=True)

        y, pull, moved = jax.vjp(forward, x, has_aux=True)
        self.way.move(layer, moved)
        return y, pull

    def _tapes(self) -> Any:
        if self.backend == "torch":
            from spatial_dropouts.adapters import life_torch

            return life_torch
        if self.backend == "tensorflow":
            from spatial_dropouts.adapters import life_tensorflow

            return life_tensorflow
        raise Unsupported(f"Keras on {self.backend} has no gradients here")

    def expanded(self, shape: Tuple[int, ...], dtype: str) -> Any:
        if self.backend != "torch":
            raise Unsupported(f"{self.backend} arrays have no strides")
        return self.keras.ops.ones((), dtype).expand(shape)

    def settings(self) -> Dict[str, Callable[[], ContextManager[Any]]]:
        found: Dict[str, Callable[[], ContextManager[Any]]] = {
            "wider floatx": self._floatx,
            "mixed dtype policy": self._policy,
        }
        if self.backend == "torch":
            from spatial_dropouts.adapters import life_torch

            found.update(life_torch.settings())
        elif self.backend == "jax":
            import jax

            found["disable_jit"] = jax.disable_jit
        return found

    def streams(self) -> Dict[str, Tuple[Callable[[int], Any], Callable[[], List[int]]]]:
        """The global stream of the backend; JAX has none."""
        if self.backend == "torch":
            from spatial_dropouts.adapters import life_torch

            return life_torch.streams()
        if self.backend == "tensorflow":
            from spatial_dropouts.adapters import life_tensorflow

            return life_tensorflow.streams()
        return {}

    def ambient(self) -> Dict[str, str]:
        found = {"floatx": str(self.keras.backend.floatx())}
        if self.backend == "torch":
            from spatial_dropouts.adapters import life_torch

            found.update(life_torch.ambient())
        return found

    @contextlib.contextmanager
    def _floatx(self) -> Iterator[None]:
        before = self.keras.backend.floatx()
        self.keras.backend.set_floatx("float64")
        try:
            yield
        finally:
            self.keras.backend.set_floatx(before)

    @contextlib.contextmanager
    def _policy(self) -> Iterator[None]:
        before = self.policy()  # type: ignore[attr-defined]
        self.set_policy("mixed_float16")  # type: ignore[attr-defined]
        try:
            yield
        finally:
            self.set_policy(before)  # type: ignore[attr-defined]

    def threaded(self) -> None:
        raise Unsupported(
            "a Keras layer counts its calls in a seed state that has no lock: its calls belong to one thread"
        )
