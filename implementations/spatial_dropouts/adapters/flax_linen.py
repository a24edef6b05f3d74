"""Flax linen: module classes whose constructor takes the rate first; the key goes in as the ``dropout`` collection."""

from __future__ import annotations

from typing import Any, Dict, Hashable

import flax.errors
import flax.linen
import jax

from dropcheck.adapter import Implementation
from spatial_dropouts.adapters.jax_arrays import JaxArrays, switch

_NEEDS_VARIABLES = (flax.errors.ScopeParamNotFoundError, flax.errors.ScopeCollectionNotFound)


class FlaxLinen(JaxArrays):
    """Drives ``flax.linen.Module`` classes, and factories that return a module."""

    framework = "flax-linen"
    library = "flax"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        self.inference = (isinstance(obj, type) and switch(obj.__call__) is not None) or not isinstance(obj, type)

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        module = super().build(rate, dtype, extra)
        if not isinstance(module, flax.linen.Module):
            raise TypeError(f"the factory returned a {type(module).__name__}; expected a flax.linen.Module")
        return module

    def token(self, made: Any) -> Hashable:
        try:
            hash(made)
        except TypeError:  # a field of it is a list or an array
            return id(made)
        return made  # modules with equal fields are equal

    def call(self, made: Any, x: Any, key: Any, training: bool) -> Any:
        flag = switch(type(made).__call__)
        given = {} if flag is None else {flag[0]: training == flag[1]}
        rngs = {getattr(made, "rng_collection", "dropout"): key}
        try:
            return made.apply({}, x, rngs=rngs, **given)
        except _NEEDS_VARIABLES:  # it has parameters or counters of its own
            variables = made.init({"params": jax.random.key(0), **rngs}, x, **given)
            return made.apply(variables, x, rngs=rngs, **given)
