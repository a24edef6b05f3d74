"""Penzai: ``StochasticDropout`` on named arrays. ``share_across_axes`` are the axes that the contract's pattern shares."""

from __future__ import annotations

from typing import Any, Dict, Hashable

from penzai import pz

from spatial_dropouts.adapters.equinox_layers import pytree_token
from spatial_dropouts.adapters.jax_arrays import JaxArrays


class Penzai(JaxArrays):
    """Drives ``penzai.nn.StochasticDropout`` and its like, called with a random stream made from the call's key."""

    framework = "penzai"
    library = "penzai"
    default_pattern = "n c l -> n c"

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        shared = self.contract.pattern.shared
        return super().build(rate, dtype, {**({"share_across_axes": shared} if shared else {}), **extra})

    def token(self, made: Any) -> Hashable:
        return pytree_token(made)

    def call(self, made: Any, x: Any, key: Any, training: bool) -> Any:
        axes = self.contract.pattern.axes
        if x.ndim != len(axes):
            axes = tuple(f"a{place}" for place in range(x.ndim))
        stream = pz.RandomStream.from_base_key(key)
        layer = made if training else made.disable()
        return layer(pz.nx.wrap(x).tag(*axes), random_stream=stream).untag(*axes).unwrap()
