"""Attention of Flax nnx, as an instrument: the weights of queries and keys are 0, those of values and output the identity."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

import jax
import jax.numpy as jnp
from flax import nnx

from spatial_dropouts.adapters.flax_nnx import FlaxNnx
from spatial_dropouts.instruments import fixed
from spatial_dropouts.instruments.jax_shown import identity, masked


class NnxInstrument(FlaxNnx):
    """Drives nnx modules that hold a real layer of the dtype asked for (see jax_shown)."""

    fixed: Mapping[str, str] = fixed.PULLED

    def _made(self, rate: float, dtype: str, extra: Dict[str, Any]) -> Any:
        with self.precision(dtype):
            return super()._made(rate, dtype, {**extra, "dtype": dtype})


class Weights(nnx.Module):
    """``flax.nnx.MultiHeadAttention`` with ``dropout_rate``; axes n, h, q, k."""

    def __init__(
        self,
        rate: float,
        heads: int,
        keys: int,
        broadcast_dropout: bool = True,
        dtype: str = "float32",
        *,
        rngs: nnx.Rngs,
    ) -> None:
        width, kind = heads * keys, jnp.dtype(dtype)
        self.layer = nnx.MultiHeadAttention(
            num_heads=heads,
            in_features=width,
            dropout_rate=rate,
            broadcast_dropout=broadcast_dropout,
            use_bias=False,
            decode=False,
            param_dtype=kind,
            kernel_init=nnx.initializers.zeros_init(),
            rngs=rngs,
        )
        eye = identity(heads, keys, kind)
        self.layer.value.kernel[...] = eye.reshape(width, heads, keys)
        self.layer.out.kernel[...] = eye.reshape(heads, keys, width)

    def __call__(self, x: Any, deterministic: Optional[bool] = None) -> Any:
        structure, random, rest = nnx.split(self.layer, nnx.RngState, ...)
        queries = x.shape[2]

        def run(rows: Any, state: Any) -> Tuple[Any, Any]:
            layer = nnx.merge(structure, *jax.tree_util.tree_map(lambda leaf: leaf, state))  # variables of this trace
            zeros = jnp.zeros((rows.shape[0], queries, rows.shape[2]), rows.dtype)
            output = layer(zeros, rows, rows, deterministic=deterministic)
            return output, nnx.split(layer, nnx.RngState, ...)[1]

        shown, after = masked(run, x, (random, rest))
        nnx.update(self.layer, after)
        return shown
