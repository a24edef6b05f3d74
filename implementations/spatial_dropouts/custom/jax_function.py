"""Our own spatial dropout as a plain function on JAX arrays: one coin per (sample, channel), selected, exactly scaled."""

from __future__ import annotations

from functools import partial
from typing import Any, Tuple

import jax
import jax.numpy as jnp

from spatial_dropouts.custom.exact import in_two, probability


def spatial_dropout(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """Dropped channels of ``x``, shape ``(n, c, ...)``; kept values are ``x / (1 - rate)``.

    float16 and bfloat16 are computed in float32, and rounded once. float32 and float64 have no wider dtype to be computed in: their
    values are within one unit in the last place, and right on average.

    Raises ValueError unless ``rate`` lies in [0, 1].
    """
    rate = probability(rate)
    if not training or rate == 0:
        return x
    return select(x, x.shape[:2] + (1,) * (x.ndim - 2), rate, key)


def select(x: Any, shape: Tuple[int, ...], rate: float, key: Any) -> Any:
    """0 where a coin of the key drops, ``x / (1 - rate)`` elsewhere; ``shape``: of the coins, each axis of ``x``'s size or 1."""
    if rate == 1:
        return jnp.zeros_like(x)
    # the coins in float32 at least, whatever the dtype of x: a coarser uniform would round the rate to its grid
    dropped = jax.random.uniform(key, shape, dtype=jnp.promote_types(x.dtype, jnp.float32)) < rate
    return jnp.where(dropped, jnp.zeros((), x.dtype), _quotient(x, rate))


# compiled also where the caller is not: XLA makes one fused multiply-add of the two products
@partial(jax.jit, static_argnums=1)
def _quotient(x: Any, rate: float) -> Any:
    # one factor would be rounded, and shift all kept values alike; XLA turns a division into such a factor
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    most, rest = in_two(rate, wide.dtype)
    return (wide * most + wide * rest if rest else wide * most).astype(x.dtype)
