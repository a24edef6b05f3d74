"""Our own spatial dropout as a plain function on JAX arrays: one coin per (sample, channel), selected, exactly scaled."""

from __future__ import annotations

from typing import Any, Tuple

import jax
import jax.numpy as jnp

from spatial_dropouts.custom.exact import fraction, kept, probability


def spatial_dropout(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """Dropped channels of ``x``, shape ``(n, c, ...)``; kept values are ``x / (1 - rate)``.

    They are rounded once in float16 and bfloat16. float32 has no wider dtype to be computed in: 1 - rate and the quotient are
    rounded, and a compiler may multiply by the reciprocal, so that they are within two units in the last place.

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
    if x.dtype == jnp.float64:
        # there is no wider dtype: 1 - rate would be rounded, and shift all kept values alike
        up, down = fraction(rate)
        quotient = x * up / down
    else:  # the quotient in a wider dtype where there is one, then one rounding to that of x
        quotient = (x.astype(jnp.promote_types(x.dtype, jnp.float32)) / kept(rate)).astype(x.dtype)
    return jnp.where(dropped, jnp.zeros((), x.dtype), quotient)
