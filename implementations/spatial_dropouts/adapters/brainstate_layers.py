"""BrainState: classes whose constructor takes the keep probability first and that draw from its global random state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Tuple

import brainstate
import jax

from dropcheck.adapter import Implementation
from spatial_dropouts.adapters.jax_arrays import JaxArrays, Layer


class BrainState(JaxArrays):
    """Drives ``brainstate.nn`` modules. A layer's state is the key of BrainState's global generator."""

    framework = "brainstate"
    library = "brainstate"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        if implementation.seed is None and implementation.seed_argument is None:
            implementation = replace(implementation, seed=brainstate.random.seed)
        super().__init__(obj, implementation)

    def begin(self, made: Any, seed: Optional[int], way: str) -> Any:
        super().begin(made, seed, way)
        return brainstate.random.DEFAULT.value

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
