"""Attention of Flax linen, as an instrument: the weights of queries and keys are 0, those of values and output the identity."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

import flax.linen
import jax.numpy as jnp

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.adapters.flax_linen import FlaxLinen
from spatial_dropouts.instruments import fixed
from spatial_dropouts.instruments.jax_shown import masked, projections


class LinenInstrument(FlaxLinen):
    """Drives linen modules that hold a real layer, whose backward pass is that of the real layer (see jax_shown)."""

    fixed: Mapping[str, str] = fixed.PULLED
    heavy = 2  # a module that is made, bound and called inside of another takes some ten milliseconds

    def use(self, mode: str) -> None:
        """Raises Unsupported where one query cannot be taken from the others."""
        axes = self.contract.pattern
        if mode in fixed.QUERIES and axes.row_axes[0] == "q" and "q" in dict(axes.sizes):
            raise Unsupported(fixed.QUERIES[mode])
        super().use(mode)
        if mode == "jit":
            self.heavy = 1


class Weights(flax.linen.Module):
    """``MultiHeadDotProductAttention``, or another layer of that kind, with ``dropout_rate``; axes n, h, q, k."""

    rate: Any
    kind: str
    broadcast_dropout: bool = True

    def real(self, **given: Any) -> Any:
        """The real layer, made of these."""
        return getattr(flax.linen, self.kind)(**given)

    def __call__(self, x: Any, deterministic: bool) -> Any:
        _, h, q, k = x.shape
        width = h * k
        layer = self.real(
            num_heads=h,
            qkv_features=width,
            out_features=width,
            dropout_rate=self.rate,
            broadcast_dropout=self.broadcast_dropout,
            use_bias=False,
            kernel_init=flax.linen.initializers.zeros,  # asked for its shape at each call; a drawn one takes longer
            deterministic=deterministic,
            parent=None,  # called by itself, with weights of its own
        )
        zeros, into, out = projections(h, k, str(x.dtype))
        weights = {"query": zeros, "key": zeros, "value": into, "out": out}
        variables = {"params": {name: {"kernel": kernel} for name, kernel in weights.items()}}

        def run(rows: Any, key: Any) -> Tuple[Any, None]:
            if self.kind == "SelfAttention":
                return layer.apply(variables, rows, rngs={"dropout": key}), None
            queries = jnp.zeros((rows.shape[0], q, width), x.dtype)
            return layer.apply(variables, queries, rows, rows, rngs={"dropout": key}), None

        shown, _ = masked(run, x, self.make_rng("dropout"))
        return shown
