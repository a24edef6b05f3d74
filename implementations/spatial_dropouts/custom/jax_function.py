"""Our own spatial dropout as a plain function on JAX arrays: one coin per (sample, channel), selected, exactly scaled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def spatial_dropout(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """Dropped channels of ``x``, shape ``(n, c, ...)``; kept values are ``x / (1 - rate)``, rounded once.

    Raises ValueError unless ``rate`` lies in [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is a probability from 0 to 1, not {rate!r}")
    if not training or rate == 0:
        return x
    if rate == 1:
        return jnp.zeros_like(x)
    shape = x.shape[:2] + (1,) * (x.ndim - 2)
    # the coins in float32 at least, whatever the dtype of x: a coarser uniform would round the rate to its grid
    dropped = jax.random.uniform(key, shape, dtype=jnp.promote_types(x.dtype, jnp.float32)) < rate
    # the quotient in a wider dtype where there is one, then one rounding to that of x
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return jnp.where(dropped, jnp.zeros((), x.dtype), (wide / (1 - rate)).astype(x.dtype))
