"""Haliax: modules on named axes. ``broadcast_axes`` of the layer are the axes that the contract's pattern shares."""

from __future__ import annotations

from typing import Any, Dict

import haliax

from spatial_dropouts.adapters.equinox_layers import pytree_token
from spatial_dropouts.adapters.jax_arrays import JaxArrays


class _Shared:
    """A layer by rate; it is built where the sizes of the axes are known, for Haliax' axes carry them."""

    def __init__(self, adapter: Any, rate: float, extra: Dict[str, Any]) -> None:
        self.adapter, self.rate, self.extra = adapter, rate, extra

    def on(self, axes: Any) -> Any:
        """The layer for inputs on these axes."""
        shared = tuple(axis for axis in axes if axis.name in self.adapter.contract.pattern.shared)
        options = {"broadcast_axes": shared} if shared else {}
        return self.adapter.implementation.construct(self.adapter.obj, self.rate, {**options, **self.extra})


class Haliax(JaxArrays):
    """Drives ``haliax.nn.Dropout`` and its like on NamedArrays whose axes are called as in the pattern."""

    framework = "haliax"
    library = "haliax"
    default_pattern = "n c l -> n c"

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        made = _Shared(self, rate, extra)
        made.on(())  # what the constructor refuses, it refuses here
        return made

    def token(self, made: Any) -> Any:
        return pytree_token(made.on(()))

    def call(self, made: Any, x: Any, key: Any, training: bool) -> Any:
        axes = tuple(haliax.Axis(name, size) for name, size in zip(self._names(x), x.shape))
        return made.on(axes)(haliax.named(x, axes), inference=not training, key=key).rearrange(axes).array

    def _names(self, x: Any) -> Any:
        pattern = self.contract.pattern
        for known in (pattern, *self.contract.ranks):
            if len(known.axes) == x.ndim:
                return known.axes
        return tuple(f"a{place}" for place in range(x.ndim))
