"""BrainState: classes whose constructor takes the keep probability first and that draw from its global random state."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ContextManager, Dict, Iterator, Optional, Tuple

import brainstate
import jax

from dropcheck.contract.adapter import Implementation, Unsupported, global_generators_kept
from spatial_dropouts.adapters.jax_arrays import JaxArrays, Layer


class OfAll(Layer):
    """A layer that draws from BrainState's global generator, as all of them do: what one draws, no other draws again."""

    @property
    def state(self) -> Any:  # type: ignore[override,unused-ignore]
        return brainstate.random.DEFAULT.value

    @state.setter
    def state(self, key: Any) -> None:
        brainstate.random.DEFAULT.value = key


class BrainState(JaxArrays):
    """Drives ``brainstate.nn`` modules. A layer's state is the key of BrainState's global generator."""

    framework = "brainstate"
    library = "brainstate"
    kept_as = OfAll

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        if implementation.seed is None and implementation.seed_argument is None:
            implementation = replace(implementation, seed=brainstate.random.seed)
        super().__init__(obj, implementation)

    def begin(self, made: Any, seed: Optional[int], way: str) -> Any:
        super().begin(made, seed, way)
        return brainstate.random.DEFAULT.value

    def copy_ways(self) -> Dict[str, str]:
        return dict.fromkeys(super().copy_ways(), "apart")  # the generator is not the layer's

    def threaded(self) -> None:
        raise Unsupported("all layers draw from one generator without a lock: their calls belong to one thread")

    def preserved(self) -> ContextManager[Any]:
        return _preserved()

    def token(self, made: Any) -> Any:
        kept = {name: value for name, value in vars(made).items() if isinstance(value, (int, float, str, tuple))}
        return (type(made), repr(sorted(kept.items())))

    def run(self, made: Any, state: Any, x: Any) -> Tuple[Any, Any]:
        def call(x: Any) -> Any:
            with brainstate.environ.context(fit=True):
                return made(x)

        if self.mode == "eager" and not isinstance(x, jax.core.Tracer):
            brainstate.random.DEFAULT.value = state
            return call(x), brainstate.random.DEFAULT.value
        # as its own transformations do it: the states that the call touches become arguments and results
        pure = brainstate.transform.StatefulFunction(call)
        pure.make_jaxpr(x)
        if not pure.get_states(x):  # rate 0 and 1 draw nothing
            return pure.jaxpr_call([], x)[1], state
        (state,), y = pure.jaxpr_call([state], x)
        return y, state

    def infer(self, layer: Layer, x: Any) -> Any:
        with brainstate.environ.context(fit=False):
            return layer.made(x)


@contextmanager
def _preserved() -> Iterator[None]:
    key = brainstate.random.DEFAULT.value
    try:
        with global_generators_kept():
            yield
    finally:
        brainstate.random.DEFAULT.value = key
