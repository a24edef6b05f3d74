"""Flax linen: module classes whose constructor takes the rate first; the key goes in as the ``dropout`` collection."""

from __future__ import annotations

from typing import Any, Dict, Hashable, Tuple

import flax.errors
import flax.linen
import jax

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters.jax_arrays import JaxArrays, built_flag, switch

_NEEDS_VARIABLES = (flax.errors.ScopeParamNotFoundError, flax.errors.ScopeCollectionNotFound)

_IN_A_PARENT = "a parent Module"


class _Parent(flax.linen.Module):
    """A module with the layer as its part, which hands on what it is given."""

    layer: flax.linen.Module

    def __call__(self, x: Any, **given: Any) -> Any:
        return self.layer(x, **given)


class FlaxLinen(JaxArrays):
    """Drives ``flax.linen.Module`` classes, and factories that return a module."""

    framework = "flax-linen"
    library = "flax"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        is_class = isinstance(obj, type)
        self.inference = not is_class or switch(obj.__call__) is not None or switch(obj) is not None

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
        if flag is None and (built := switch(type(made))) is not None:  # its constructor alone takes it
            made = made.clone(**{built[0]: training == built[1]})
        return self.called(made, x, key, {} if flag is None else {flag[0]: training == flag[1]})

    def called(self, made: Any, x: Any, key: Any, given: Dict[str, Any], collection: str = "") -> Any:
        """One call of a module with these keywords; what has variables is initialised before."""
        rngs = {collection or getattr(made, "rng_collection", "dropout"): key}
        try:
            return made.apply({}, x, rngs=rngs, **given)
        except _NEEDS_VARIABLES:  # it has parameters or counters of its own
            variables = made.init({"params": jax.random.key(0), **rngs}, x, **given)
            return made.apply(variables, x, rngs=rngs, **given)

    @property
    def switches(self) -> Tuple[str, ...]:
        """Ways of switching that a layer has beside its usual one: its constructor, and as a part of another module."""
        if self.mode != "eager":
            return ()
        try:
            made = self.build(0.5, "float32", {})
        except Exception:  # what it refuses is asked elsewhere
            return ()
        if switch(type(made).__call__) is None:
            return ()
        built = built_flag(type(made), type(made).__call__)
        return ((f"{built[0]}= of the constructor",) if built else ()) + (_IN_A_PARENT,)

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        """One call of a module that was built for the mode, or inside of another module that hands on the flag."""
        made, collection = layer.made, getattr(layer.made, "rng_collection", "dropout")
        flag = switch(type(made).__call__) if way == _IN_A_PARENT else built_flag(type(made), type(made).__call__)
        given = {} if flag is None else {flag[0]: training == flag[1]}
        with self.precision(layer.dtype):
            layer.state, key = jax.random.split(layer.state)
            if way == _IN_A_PARENT:
                y = self.called(_Parent(made), x, key, given, collection)
            else:
                y = self.called(made.clone(**given), x, key, {})
            return jax.block_until_ready(y)
