"""Attention of Flax with a planted defect in its ``attention_fn``, seen by the instrument of the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

from spatial_dropouts.instruments.flax_linen import Weights


def _attention(
    shared: tuple[int, ...] = (), *, rescaled: bool = True, rate_one: bool = True, inference: bool = False
) -> Callable[..., Any]:
    """Attention of equal weights in a few lines. ``shared``: axes of (n, h, q, k) that have one mask."""

    def attention_fn(
        query: Any,
        key: Any,
        value: Any,
        dropout_rng: Any = None,
        dropout_rate: float = 0.0,
        deterministic: bool = False,
    ) -> Any:
        n, q, h, _ = query.shape
        k = key.shape[1]
        weights = jnp.full((n, h, q, k), 1 / k, query.dtype)
        if inference or not deterministic:
            drawn = [1 if axis in shared else size for axis, size in enumerate(weights.shape)]
            random = dropout_rng if dropout_rng is not None else jax.random.key(0)
            kept = jax.random.bernoulli(random, 1 - dropout_rate, drawn)
            if dropout_rate < 1:
                weights = jnp.where(kept, weights / (1 - dropout_rate) if rescaled else weights, 0)
            elif rate_one:
                weights = jnp.zeros_like(weights)
        return jnp.einsum("nhqk,nkhw->nqhw", weights, value)

    return attention_fn


class Right(Weights):
    """The instrument around Flax' layer, whose attention is the one of this class."""

    kind: str = ""
    attention = staticmethod(_attention())

    def real(self, **given: Any) -> Any:
        return flax.linen.MultiHeadDotProductAttention(attention_fn=self.attention, **given)


class OneMaskForAllHeads(Right):
    attention = staticmethod(_attention((1,)))


class OneMaskForTheBatch(Right):
    attention = staticmethod(_attention((0,)))


class NotRescaled(Right):
    attention = staticmethod(_attention(rescaled=False))


class IgnoresRateOne(Right):
    attention = staticmethod(_attention(rate_one=False))


class DroppedInInference(Right):
    attention = staticmethod(_attention(inference=True))
