"""JAX layers in daily use: copies, a new rate, graphs of calls, global settings. See dropcheck.worker.life."""

from __future__ import annotations

import copy
import numbers
import pickle
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Tuple

import jax

from dropcheck.contract.adapter import Unsupported

Passed = Tuple[Any, Optional[Any], Optional[Any]]


def x64() -> ContextManager[Any]:
    """A context in which JAX computes in 64 bits where it is asked to."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()


class JaxLife:
    """The optional methods of the JAX adapters, whose layers are a ``made`` object and the ``state`` of their keys."""

    contract: Any
    mode: str
    program: Any
    precision: Any

    def sibling(self, layer: Any, rate: float, dtype: str, way: str) -> Any:
        if way == "key":
            raise Unsupported("every layer is given keys of its own: there is no source that two of them share")
        return self.make(rate, dtype, None, way)  # type: ignore[attr-defined]

    def copy_ways(self) -> Dict[str, str]:
        # the keys are the caller's: a copy that is given the same keys draws the same masks, as it must
        return dict.fromkeys(("copy.deepcopy", "pickle", "tree_flatten and tree_unflatten"), "kept")

    def copied(self, made: Any, way: str) -> Any:
        """A copy of the library's own object."""
        if way == "copy.deepcopy":
            return copy.deepcopy(made)
        if way == "pickle":
            return pickle.loads(pickle.dumps(made))
        leaves, structure = jax.tree_util.tree_flatten(made)
        if leaves == [made]:
            raise Unsupported("the layer is no tree")
        return jax.tree_util.tree_unflatten(structure, leaves)

    def copy_of(self, layer: Any, way: str, fresh: Callable[[], Any]) -> Any:
        return type(layer)(self.copied(self.holder(layer), way), layer.state, layer.rate, layer.dtype)

    def holder(self, layer: Any) -> Any:
        if isinstance(layer.made, numbers.Number) or not hasattr(layer.made, "__dict__"):
            raise Unsupported("a function has no state: it is given its rate with each call")
        return layer.made

    def _pulls(self, layer: Any, x: Any) -> Tuple[Any, Any]:
        """The output of one call and its pull-back."""
        program = self.program(layer, self.mode)
        y, pull, layer.state = jax.vjp(lambda x: program(layer.state, x), x, has_aux=True)
        return y, pull

    def passes(self, layer: Any, inputs: Sequence[Any], cotangents: Sequence[Any]) -> List[Passed]:
        with self.precision(layer.dtype):
            made = [self._pulls(layer, x) for x in inputs]
            gradients = [jax.block_until_ready(pull(c)[0]) for (_, pull), c in zip(made, cotangents)]
            again = jax.block_until_ready(made[0][1](cotangents[0])[0])
        return [(y, g, again if i == 0 else None) for i, ((y, _), g) in enumerate(zip(made, gradients))]

    def twice(self, layer: Any, x: Any, cotangent: Any, direction: Any) -> Tuple[Any, Optional[Any]]:
        with self.precision(layer.dtype):
            y, pull = self._pulls(layer, x)
            _, second = jax.vjp(lambda c: pull(c)[0], cotangent)
            return y, jax.block_until_ready(second(direction)[0])

    def settings(self) -> Dict[str, Callable[[], ContextManager[Any]]]:
        return {"disable_jit": jax.disable_jit, "x64": x64}

    def ambient(self) -> Dict[str, str]:
        return {"x64": str(bool(jax.config.jax_enable_x64)), "disable_jit": str(bool(jax.config.jax_disable_jit))}

    def threaded(self) -> None:
        raise Unsupported("a layer is a function of its key, and every thread has keys of its own")
