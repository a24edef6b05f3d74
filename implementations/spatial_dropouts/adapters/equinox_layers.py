"""Equinox: module classes whose constructor takes the rate first; the key is given to each call.

Equinox' layers take single samples and are batched by ``jax.vmap``. So a class is called that way, one key a sample,
unless its framework is said to be ``equinox-batch``: then eager calls get the whole batch, as an element-wise layer allows.
"""

from __future__ import annotations

from typing import Any, Dict, Hashable, Tuple

import equinox
import jax

from dropcheck.contract.adapter import Implementation
from spatial_dropouts.adapters import accepts, jax_modes
from spatial_dropouts.adapters.jax_arrays import JaxArrays, built_flag, switch

_BY_MODEL = "equinox.nn.inference_mode of a model"


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


class _Model(equinox.Module):
    """A model with the layer as its part."""

    layer: Any


def _has_flag(made: Any) -> bool:
    """Whether a part of it has the attribute that ``equinox.nn.inference_mode`` sets."""
    found = []
    jax.tree_util.tree_leaves(made, is_leaf=lambda node: found.append(hasattr(node, "inference")))
    return any(found)


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
        if flag is None and not training:
            made = equinox.nn.inference_mode(made)
        return self.called(made, x, key, {} if flag is None else {flag[0]: training == flag[1]})

    def called(self, made: Any, x: Any, key: Any, given: Dict[str, Any]) -> Any:
        """One call of the module itself, with these keywords and the key where it takes one."""
        return made(x, **given, **({"key": key} if accepts(type(made).__call__, "key") else {}))

    @property
    def switches(self) -> Tuple[str, ...]:
        """Ways of switching that a layer has beside its usual one: the attribute, by a model, and its constructor."""
        if self.mode != "eager":
            return ()
        try:
            made = self.build(0.5, "float32", {})
        except Exception:  # what it refuses is asked elsewhere
            return ()
        called = type(made).__call__
        flag, built = switch(called), built_flag(self.obj, called)
        by_model = flag is not None and _has_flag(made) and built_flag(called, called) is not None
        return ((_BY_MODEL,) if by_model else ()) + ((f"{built[0]}= of the constructor",) if built else ())

    def switched(self, layer: Any, x: Any, training: bool, way: str) -> Any:
        """One call whose mode the layer itself holds: set by ``inference_mode``, or when it was built."""
        with self.precision(layer.dtype):
            if way == _BY_MODEL:
                made = equinox.nn.inference_mode(_Model(layer.made), not training).layer
            else:
                flag = built_flag(self.obj, type(layer.made).__call__)
                extra = {} if flag is None else {flag[0]: training == flag[1]}
                made = self.build(layer.rate, layer.dtype, extra)
            layer.state, key = jax.random.split(layer.state)
            return jax.block_until_ready(self.switched_call(made, x, key))

    def switched_call(self, made: Any, x: Any, key: Any) -> Any:
        """One call of a module that is told nothing."""
        return self.called(made, x, key, {})


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

    def switched_call(self, made: Any, x: Any, key: Any) -> Any:
        def one(key: Any, sample: Any) -> Any:
            return self.called(made, sample, key, {})

        rows = x.shape[self.axis]
        keys = jax.random.split(key, rows)
        return jax.vmap(one, in_axes=(0, self.axis), out_axes=self.axis)(keys, x) if rows else x
