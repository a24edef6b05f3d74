"""Equinox: module classes whose constructor takes the rate first; the key is given to each call.

Equinox' layers take single samples and are batched by ``jax.vmap``. So a class is called that way, one key a sample,
unless its framework is said to be ``equinox-batch``: then eager calls get the whole batch, as an element-wise layer allows.
"""

from __future__ import annotations

from typing import Any, Dict, Hashable

import equinox
import jax

from dropcheck.adapter import Implementation
from spatial_dropouts.adapters import accepts, jax_modes
from spatial_dropouts.adapters.jax_arrays import JaxArrays, switch


def pytree_token(made: Any) -> Hashable:
    """Equal for layers that differ in nothing; the layer's own where arrays or unhashable things are inside."""
    leaves, structure = jax.tree_util.tree_flatten(made)
    parts = (structure, tuple(repr(leaf) for leaf in leaves))
    if not all(isinstance(leaf, (bool, int, float, str)) for leaf in leaves):
        return id(made)
    try:
        hash(parts)
    except TypeError:
        return id(made)
    return parts


class EquinoxBatches(JaxArrays):
    """Drives ``equinox.Module`` classes that take whole batches in eager calls, and samples under vmap."""

    framework = "equinox-batch"
    library = "equinox"
    default_pattern = "n c l -> n c"
    bare_samples = True

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        module = super().build(rate, dtype, extra)
        if not isinstance(module, equinox.Module):
            raise TypeError(f"the factory returned a {type(module).__name__}; expected an equinox.Module")
        return module

    def token(self, made: Any) -> Hashable:
        return pytree_token(made)

    def call(self, made: Any, x: Any, key: Any, training: bool) -> Any:
        flag = switch(type(made).__call__)
        given: Dict[str, Any] = {} if flag is None else {flag[0]: training == flag[1]}
        if accepts(type(made).__call__, "key"):
            given["key"] = key
        if flag is None and not training:
            made = equinox.nn.inference_mode(made)
        return made(x, **given)


class EquinoxSamples(EquinoxBatches):
    """Drives ``equinox.Module`` classes that take one sample, ``c l``; a batch goes through ``jax.vmap``."""

    framework = "equinox"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        self.axis = jax_modes.sample_axis(self.contract.pattern)

    def _in_mode(self, step: jax_modes.Step, mode: str) -> jax_modes.Program:
        over = jax_modes.mapped(step, self.several, self.axis, True)
        return over if mode in ("eager", "vmap") else super()._in_mode(over, mode)

    def infer(self, layer: Any, x: Any) -> Any:
        def one(sample: Any) -> Any:
            return self.call(layer.made, sample, layer.state, False)

        return jax.vmap(one, in_axes=self.axis, out_axes=self.axis)(x) if x.shape[self.axis] else x
