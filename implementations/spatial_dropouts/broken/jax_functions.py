"""Planted defects as functions on JAX arrays that are right in eager calls and wrong in one mode, each with a right twin."""

from __future__ import annotations

from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

from spatial_dropouts.adapters.jax_modes import AXIS
from spatial_dropouts.broken.base import valid


def select(x: Any, dropped: Any, rate: float) -> Any:
    """0 under the mask ``dropped`` of shape ``(n, c)``, elsewhere ``x / (1 - rate)``, rounded once to the dtype of x."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    spread = dropped.reshape(dropped.shape + (1,) * (x.ndim - dropped.ndim))
    return jnp.where(spread, jnp.zeros((), x.dtype), (wide / (1 - rate if rate < 1 else 1)).astype(x.dtype))


def coins(key: Any, shape: Any, rate: float) -> Any:
    """One coin per (sample, channel), drawn in float32; True dropped."""
    return jax.random.uniform(key, shape, dtype=jnp.float32) < rate


def _layer(draw: Callable[[Any, Any, float], Any]) -> Callable[..., Any]:
    """A function that is right but for where its coins come from: ``draw(key, shape, rate)``."""

    def dropout(x: Any, rate: float, *, training: bool, key: Any) -> Any:
        valid(rate)
        if not training or rate == 0:
            return x
        return select(x, draw(key, x.shape[:2], rate), rate)

    return dropout


right = _layer(coins)


def trace_time_mask(x: Any, rate: float, *, training: bool) -> Any:
    """NumPy draws the mask: at every eager call, but once for all calls of a compiled function."""
    valid(rate)
    if not training or rate == 0:
        return x
    return select(x, jnp.asarray(np.random.random(x.shape[:2]) < rate), rate)


# The rule of a map that draws with the first key for everybody; by itself the function is right.
def _mapped_once(rate: float) -> Any:
    def draw(data: Any, like: Any) -> Any:
        return coins(jax.random.wrap_key_data(data), like.shape, rate)

    def rule(size: int, batched: Any, data: Any, like: Any) -> Any:
        first = data[0] if batched[0] else data
        one = coins(jax.random.wrap_key_data(first), like.shape[1:] if batched[1] else like.shape, rate)
        return jnp.broadcast_to(one, (size, *one.shape)), True

    mapped = jax.custom_batching.custom_vmap(draw)
    mapped.def_vmap(rule)
    return mapped


def _one_key_for_the_map(key: Any, shape: Any, rate: float) -> Any:
    return _mapped_once(rate)(jax.random.key_data(key), jnp.zeros(shape, jnp.int8))


one_key_for_the_map = _layer(_one_key_for_the_map)


def _key_of_the_first_rank(key: Any, shape: Any, rate: float) -> Any:
    """The key is broadcast from the first rank, as weights are, wherever there are ranks."""
    try:
        every = jax.lax.all_gather(jax.random.key_data(key), AXIS)
    except NameError:  # there are none
        return coins(key, shape, rate)
    return coins(jax.random.wrap_key_data(every[0]), shape, rate)


key_of_the_first_rank = _layer(_key_of_the_first_rank)


# A rule for the compiler by which each shard of a program draws for its own samples, with the key and its own place.
def _partitioned(rate: float) -> Any:
    from jax.experimental.custom_partitioning import custom_partitioning

    def draw(data: Any, like: Any) -> Any:
        return coins(jax.random.wrap_key_data(data), like.shape, rate)

    def of_shard(data: Any, like: Any) -> Any:
        own = jax.random.fold_in(jax.random.wrap_key_data(data), jax.lax.axis_index(AXIS))
        return coins(own, like.shape, rate)

    def partition(mesh: Any, given: Any, result: Any) -> Any:
        return mesh, of_shard, result.sharding, tuple(one.sharding for one in given)

    made = custom_partitioning(draw)
    made.def_partition(partition=partition, sharding_rule="k, n c -> n c")
    return made


def key_of_the_shard(x: Any, rate: float, *, training: bool, key: Any) -> Any:
    """Masks depend on how many devices the samples lie on: the same key draws others for a batch that is sharded."""
    valid(rate)
    if not training or rate == 0:
        return x
    like = jax.lax.stop_gradient(x).reshape(*x.shape[:2], -1)[:, :, 0]
    return select(x, _partitioned(rate)(jax.random.key_data(key), like), rate)


class Counting:
    """A key of its own and a counter that Python keeps: in a scan the body is traced once, so every step is the same."""

    def __init__(self, rate: float, seed: int = 0) -> None:
        self.rate, self.seed, self.calls = valid(rate), seed, 0

    def __call__(self, x: Any, *, training: bool, key: Any) -> Any:
        if not training or self.rate == 0:
            return x
        self.calls += 1
        own = jax.random.fold_in(jax.random.key(self.seed), self.calls)
        return select(x, coins(own, x.shape[:2], self.rate), self.rate)


def host_mask(x: Any, rate: float, *, training: bool) -> Any:
    """The mask comes from the host at run time, by a callback that claims to be pure: running it again draws another."""
    valid(rate)
    if not training or rate == 0:
        return x
    shape = x.shape[:2]

    def draw(_: Any) -> Any:
        return np.random.random(shape) < rate

    # it depends on x, so that nothing takes it for a constant
    mask = jax.pure_callback(draw, jax.ShapeDtypeStruct(shape, np.bool_), jax.lax.stop_gradient(x).reshape(-1)[:1])
    # multiplied, as most layers do it: the product's gradient needs the mask again
    kept = jnp.where(mask, 0, 1).astype(x.dtype).reshape(shape + (1,) * (x.ndim - 2))
    wide = (x * kept).astype(jnp.promote_types(x.dtype, jnp.float32))
    return jnp.where(kept == 0, jnp.zeros((), x.dtype), (wide / (1 - rate if rate < 1 else 1)).astype(x.dtype))
