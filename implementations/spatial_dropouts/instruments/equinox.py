"""Attention of Equinox, as an instrument: the weights of queries and keys are 0, those of values and output the identity."""

from __future__ import annotations

from typing import Any, Dict, Hashable, Mapping, Optional, Tuple

import equinox
import jax
import jax.numpy as jnp

from spatial_dropouts.adapters.equinox_layers import EquinoxSamples
from spatial_dropouts.instruments import fixed
from spatial_dropouts.instruments.jax_shown import identity, masked


class EquinoxInstrument(EquinoxSamples):
    """Drives modules that hold a real layer of the dtype asked for, one sample a call (see jax_shown)."""

    fixed: Mapping[str, str] = fixed.PULLED

    def build(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        return super().build(rate, dtype, {**extra, "dtype": dtype})

    def token(self, made: Any) -> Hashable:
        return repr(made)  # its rate, sizes and dtype; its weights follow from them


class Weights(equinox.Module):
    """``equinox.nn.MultiheadAttention`` with ``dropout_p``; axes h, q, k of one sample."""

    layer: equinox.nn.MultiheadAttention

    def __init__(self, p: float, heads: int, keys: int, dtype: str = "float32") -> None:
        width, kind = heads * keys, jnp.dtype(dtype)
        layer = equinox.nn.MultiheadAttention(heads, width, dropout_p=p, dtype=kind, key=jax.random.key(0))
        eye = identity(heads, keys, kind)
        places = ("query_proj", "key_proj", "value_proj", "output_proj")
        weights = [jnp.asarray(one) for one in (eye * 0, eye * 0, eye, eye)]
        self.layer = equinox.tree_at(lambda one: [getattr(one, place).weight for place in places], layer, weights)

    def __call__(self, x: Any, key: Any = None, inference: Optional[bool] = None) -> Any:
        h, q, k = x.shape

        def run(rows: Any, key: Any) -> Tuple[Any, None]:
            zeros = jnp.zeros((q, h * k), rows.dtype)
            return self.layer(zeros, rows[0], rows[0], key=key, inference=inference)[None], None

        shown, _ = masked(run, x[None], key)
        return shown[0]
