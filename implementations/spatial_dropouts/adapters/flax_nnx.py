"""Flax nnx: module classes whose constructor takes the rate first and ``rngs``; the module keeps its key and counter.

Eager calls are calls of the module itself. In other modes, and for gradients, the module is split into its structure and
its state, as nnx's functional API has it, and brought up to date afterwards.
"""

from __future__ import annotations

import inspect
import os
from typing import Any, Dict, Hashable, Optional, Tuple

import jax
import jax.numpy as jnp
from flax import nnx

from dropcheck.contract.adapter import Implementation, Unsupported
from spatial_dropouts.adapters import accepts, seeding
from spatial_dropouts.adapters.jax_arrays import JaxArrays, Layer, built_flag, switch

_BY_EVAL, _BY_PARENT = "eval() of the module", "eval() of a parent"

# newer releases return a copy unless they are asked to change the module and to say how to restore it
_CHANGES = {"graph": True, "graph_updates": True} if accepts(nnx.split_rngs, "graph_updates") else {}


def _copied(state: Any) -> Any:
    """The same values in variables of their own."""
    return jax.tree_util.tree_map(lambda leaf: leaf, state)


class _Parent(nnx.Module):
    """A model with the module as its part."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer


class _Module(Layer):
    """A module whose state is read from it and written back to it. ``rngs``: what it was made with, for a sibling."""

    rngs: Any = None

    @property
    def state(self) -> Any:
        return nnx.split(self.made, nnx.RngState, ...)[1:]

    @state.setter
    def state(self, value: Any) -> None:
        if value is not None:
            nnx.update(self.made, *value)


class FlaxNnx(JaxArrays):
    """Drives ``flax.nnx.Module`` classes, and factories that take ``rngs``."""

    framework = "flax-nnx"
    library = "flax"

    def __init__(self, obj: Any, implementation: Implementation) -> None:
        super().__init__(obj, implementation)
        self.flag = switch(obj.__call__) if isinstance(obj, type) else None
        self.built = built_flag(obj.__dict__.get("__init__", obj.__init__), obj.__call__) if self.flag else None

    @property
    def switches(self) -> Tuple[str, ...]:
        """Ways of switching beside the usual one: flags that eval() sets, of the module or of a model, and the constructor's."""
        built = (f"{self.built[0]}= of the constructor",) if self.built and self.mode == "eager" else ()
        return (_BY_EVAL, _BY_PARENT, *built)

    def make(self, rate: float, dtype: str, seed: Optional[int], way: str) -> Any:
        fresh = int.from_bytes(os.urandom(4), "big") >> 1
        extra: Dict[str, Any] = seeding.keyword(self.implementation, seed, way)
        # the signature of a class is that of nnx' metaclass, which passes everything on
        built: Any = self.obj.__dict__.get("__init__", self.obj) if isinstance(self.obj, type) else self.obj
        if not extra and accepts(built, "rngs"):
            extra["rngs"] = nnx.Rngs(fresh if seed is None else seed)
        self.sow(seed, way)
        return self._made(rate, dtype, extra)

    def _made(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        module = self.implementation.construct(self.obj, rate, extra)
        if not isinstance(module, nnx.Module):
            raise TypeError(f"the factory returned a {type(module).__name__}; expected a flax.nnx.Module")
        made = _Module(module, None, rate, dtype)
        made.rngs = extra.get("rngs")
        return made

    def sibling(self, layer: Any, rate: float, dtype: str, way: str) -> Any:
        if layer.rngs is None:
            return self.make(rate, dtype, None, way)
        return self._made(rate, dtype, {"rngs": layer.rngs})  # as two layers of one model are given one ``rngs``

    def copy_ways(self) -> Dict[str, str]:
        # a copy has the key and the counter of the original, as nnx has it
        return dict.fromkeys(("copy.deepcopy", "nnx.clone", "nnx.split and nnx.merge"), "kept")

    def copied(self, made: Any, way: str) -> Any:
        if way == "nnx.clone":
            return nnx.clone(made)
        return nnx.merge(*nnx.split(made)) if way.startswith("nnx.split") else super().copied(made, way)

    def copy_of(self, layer: Any, way: str, fresh: Any) -> Any:
        return _Module(self.copied(layer.made, way), None, layer.rate, layer.dtype)

    def reseed(self, layer: Any, seed: int, way: str) -> Any:
        return self.make(layer.rate, layer.dtype, seed, way)

    def token(self, made: Any) -> Hashable:
        structure: Hashable = nnx.split(made, nnx.RngState, ...)[0]
        return structure

    def called(self, module: Any, x: Any, training: bool) -> Any:
        """One call of the module itself."""
        flag = self.flag if isinstance(self.obj, type) else switch(type(module).__call__)
        if flag is not None:
            return module(x, **{flag[0]: training == flag[1]})
        if training:
            return module(x)
        module.eval()
        try:
            return module(x)
        finally:
            module.train()

    def switched(self, layer: Layer, x: Any, training: bool, way: str) -> Any:
        """One call after eval() or train(), which set the flag of every part that has one, without an argument of the call.

        Raises Unsupported where no part has a flag, and where another mode than eager runs.
        """
        module = layer.made
        if way not in (_BY_EVAL, _BY_PARENT):
            return self._built(layer, x, training)
        flag = switch(type(module).__call__)
        parts = [part for _, part in nnx.iter_graph(module) if isinstance(part, nnx.Module)]
        if self.mode != "eager" or flag is None or not any(hasattr(part, "deterministic") for part in parts):
            raise Unsupported("eval() is its usual way, or nothing in it has a flag that eval() sets")
        if inspect.signature(type(module).__call__).parameters[flag[0]].default is not None:
            raise Unsupported(f"the argument {flag[0]} of its call has a default that is stronger than eval()")
        whole = _Parent(module) if way == _BY_PARENT else module
        whole.train() if training else whole.eval()
        try:
            with self.precision(layer.dtype):
                return jax.block_until_ready(module(x))
        finally:
            whole.train()

    def _built(self, layer: Any, x: Any, training: bool) -> Any:
        """One call of a module that was built for the mode, of the same streams where its maker took any."""
        extra = {} if self.built is None else {self.built[0]: training == self.built[1]}
        if layer.rngs is not None:
            extra["rngs"] = layer.rngs
        with self.precision(layer.dtype):
            return jax.block_until_ready(self.implementation.construct(self.obj, layer.rate, extra)(x))

    def program(self, layer: Layer, mode: str) -> Any:
        place = (mode, self.token(layer.made))
        if place not in self.programs:
            structure = place[1]

            def step(state: Any, x: Any) -> Tuple[Any, Any]:
                # variables of this trace, not of the module's own: nnx refuses to change those here
                module = nnx.merge(structure, *_copied(state))
                y = self.called(module, x, True)
                return y, nnx.split(module, nnx.RngState, ...)[1:]

            self.structure = structure
            self.programs[place] = self._in_mode(step, mode)
        self.structure = place[1]
        return self.programs[place]

    def several(self, state: Any, count: int) -> Tuple[Any, Any]:
        module = nnx.merge(self.structure, *_copied(state))
        before = nnx.split_rngs(module, splits=count, **_CHANGES)
        _, rngs, rest = nnx.split(module, nnx.RngState, ...)
        rest = jax.tree_util.tree_map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), rest)
        rngs = _copied(rngs)  # what is restored is shared with what was split
        nnx.restore_rngs(before)
        return (rngs, rest), nnx.split(module, nnx.RngState, ...)[1:]

    def infer(self, layer: Layer, x: Any) -> Any:
        return self.called(layer.made, x, False)

    def apply(self, layer: Any, x: Any, training: bool) -> Any:
        if self.mode != "eager":
            return super().apply(layer, x, training)
        with self.precision(layer.dtype):
            return jax.block_until_ready(self.called(layer.made, x, training))
