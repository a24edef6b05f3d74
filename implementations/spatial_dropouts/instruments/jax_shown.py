"""Instruments of JAX: the mask of a real layer as an ordinary product, whose gradient is read from its backward pass."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, Callable, Tuple

import jax
import jax.numpy as jnp
import numpy as np

Run = Callable[[Any, Any], Tuple[Any, Any]]


def masked(run: Run, x: Any, state: Any) -> Tuple[Any, Any]:
    """(x times mask times scale of attention weights, what ``run`` returns beside its output).

    ``run(rows, state)`` calls the real layer, whose queries and keys are 0: rows (n, k, h * k) are its values, its output is
    (n, q, h * k). ``state`` is all that may be traced outside: keys and weights. x has axes n, h, q, k.
    """
    if isinstance(x, jax.core.Tracer):
        shown, aside = _traced(run, x, state)
        return shown, aside
    output, aside = run(_rows(x), state)
    return _product(x, output), aside


@partial(jax.jit)  # one program a shape instead of one for each operation
def _product(x: Any, output: Any) -> Any:
    """x times mask times scale."""
    return x * _read(output, x)


@partial(jax.jit)
def _rows(x: Any) -> Any:
    """Values: row j of each head is the unit vector j."""
    n, h, _, k = x.shape
    return jnp.tile(jnp.eye(k, dtype=x.dtype), (n, 1, h))


def _read(output: Any, x: Any) -> Any:
    """Mask times scale: element j of a head is weight j, of k that are 1 / k without dropout."""
    n, h, q, k = x.shape
    return jnp.moveaxis(output.reshape(n, q, h, k), 2, 1) * k


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _traced(run: Run, x: Any, state: Any) -> Tuple[Any, Any]:
    output, aside = run(_rows(x), state)
    return x * _read(output, x), aside


def _forward(run: Run, x: Any, state: Any) -> Tuple[Tuple[Any, Any], Any]:
    output, pull, aside = jax.vjp(lambda rows: run(rows, state), _rows(x), has_aux=True)
    return (x * _read(output, x), aside), pull


def _backward(run: Run, pull: Any, cotangents: Any) -> Tuple[Any, None]:
    """The gradient of the values is the weights, transposed, where the output has unit gradients: k queries at a time."""
    cotangent, _ = cotangents
    n, h, q, k = cotangent.shape
    parts = max(1, -(-q // k))
    units = jnp.tile(jnp.eye(parts * k, dtype=cotangent.dtype)[:q].reshape(q, parts, 1, k), (1, 1, h, 1))
    units = jnp.moveaxis(units, 1, 0).reshape(parts, 1, q, h * k)
    (found,) = jax.vmap(pull)(jnp.broadcast_to(units, (parts, n, q, h * k)))
    weights = jnp.transpose(found.reshape(parts, n, k, h, k), (1, 3, 0, 4, 2)).reshape(n, h, parts * k, k)
    return cotangent * weights[:, :, :q] * k, None


_traced.defvjp(_forward, _backward)


def identity(heads: int, keys: int, dtype: Any) -> Any:
    """The weights of a projection that hands on its input: constants, wherever they are made."""
    return np.eye(heads * keys, dtype=dtype)


@lru_cache(maxsize=64)
def projections(heads: int, keys: int, dtype: str) -> Tuple[Any, Any, Any]:
    """(zeros, identity) of shape (heads * keys, heads, keys), and an identity back, on the device: made once, also in a trace."""
    with jax.ensure_compile_time_eval():
        eye = jnp.asarray(identity(heads, keys, dtype))
        width = heads * keys
        into = eye.reshape(width, heads, keys)
        return jnp.zeros_like(into), into, eye.reshape(heads, keys, width)
