"""The modes of JAX: what turns one pure call ``(state, x) -> (y, state)`` into a jitted, mapped, scanned, ... one.

A ``state`` is whatever a library keeps between calls: a key, or the variables of a module that holds its keys itself.
``Program`` is the result: it has the same signature, except that under ``scan`` its output has the steps in front.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Tuple

import jax
import jax.numpy as jnp

from dropcheck.contract.adapter import Unsupported
from dropcheck.contract.promise import Pattern

Step = Callable[[Any, Any], Tuple[Any, Any]]
Program = Step
Several = Callable[[Any, int], Tuple[Any, Any]]  # (state, n) -> (n states in front, the state that goes on)

IMPLS = {"vmap-rbg": "rbg", "vmap-unsafe-rbg": "unsafe_rbg"}  # mode -> the implementation of its keys
SHARDED = "jit-sharded"
MODES: Tuple[str, ...] = ("jit", SHARDED, "vmap", *IMPLS, "scan", "checkpoint", "ranks")
SCAN_STEPS = 4
RANKS = 2
AXIS = "ranks"  # the name of the mesh axis that the batch is split over


def sample_axis(pattern: Pattern) -> int:
    """The place of the axis that samples lie on: the first one that indexes rows. Raises Unsupported without one."""
    if not pattern.row_axes:
        raise Unsupported(f"the pattern '{pattern}' has no axis of samples that a map or a rank could take apart")
    return pattern.axes.index(pattern.row_axes[0])


def jitted(step: Step) -> Program:
    """One compiled program for all calls of a shape, as around a training step."""
    return jax.jit(step)


def sharded(step: Step, axis: int) -> Program:
    """One compiled program whose input and output lie half on each of two host devices, as in data-parallel training by
    ``jax.jit(..., in_shardings=...)``; the state lies whole on both. An odd batch is filled up."""
    mesh = jax.sharding.Mesh(two_devices(), (AXIS,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*([None] * axis), AXIS))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    compiled = jax.jit(step, in_shardings=(whole, split), out_shardings=(split, whole))

    def program(state: Any, x: Any) -> Tuple[Any, Any]:
        rows = x.shape[axis]
        y, state = compiled(state, _filled(x, axis))
        return (y if rows == y.shape[axis] else jax.lax.slice_in_dim(y, 0, rows, axis=axis)), state

    return program


def _filled(x: Any, axis: int) -> Any:
    """``x`` with as many samples more as make equal parts for all ranks."""
    short = -x.shape[axis] % RANKS
    return jnp.pad(x, [(0, short if place == axis else 0) for place in range(x.ndim)]) if short else x


def checkpointed(step: Step) -> Program:
    """The forward pass runs again in the backward pass."""
    return jax.checkpoint(step)


def scanned(step: Step) -> Program:
    """``SCAN_STEPS`` calls on the same input, with the state in the carry; the output has the steps in front."""

    def body(carry: Any, _: Any) -> Any:
        state, x = carry
        y, state = step(state, x)
        return (state, x), y

    def program(state: Any, x: Any) -> Tuple[Any, Any]:
        (state, _), ys = jax.lax.scan(body, (state, x), None, length=SCAN_STEPS)
        return ys, state

    return jax.jit(program)  # as inside a training step; by itself a scan would be compiled anew at each call


def over_samples(step: Step, axis: int, bare: bool) -> Callable[[Any, Any], Any]:
    """``jax.vmap`` of (states, x) over samples, a state of its own each: the outputs.

    ``bare``: the layer takes samples without the axis ``axis``. Others get a batch of one, so that the places of their axes
    stay what they are.
    """

    def one(state: Any, x: Any) -> Any:
        if bare:
            return step(state, x)[0]
        return jnp.squeeze(step(state, jnp.expand_dims(x, axis))[0], axis)

    return jax.vmap(one, in_axes=(0, axis), out_axes=axis)


def mapped(step: Step, several: Several, axis: int, bare: bool) -> Program:
    """``over_samples`` with states that come from one."""
    over = over_samples(step, axis, bare)

    def program(state: Any, x: Any) -> Tuple[Any, Any]:
        if x.shape[axis] == 0:  # there is nobody to map over
            return step(state, x)
        states, state = several(state, x.shape[axis])
        return over(states, x), state

    return jax.jit(program)  # as inside a training step; by itself a map is traced anew at each call


def ranked(step: Step, several: Several, axis: int) -> Program:
    """The batch split over two host devices by ``shard_map``, a state of its own each; an odd batch is filled up."""
    mesh = jax.sharding.Mesh(two_devices(), (AXIS,))
    split = jax.sharding.PartitionSpec(*([None] * axis), AXIS)
    front = jax.sharding.PartitionSpec(AXIS)

    def one(states: Any, x: Any) -> Any:
        return step(jax.tree_util.tree_map(lambda leaf: leaf[0], states), x)[0]

    over = shard_map(one, mesh, (front, split), split)

    def program(state: Any, x: Any) -> Tuple[Any, Any]:
        rows = x.shape[axis]
        states, state = several(state, RANKS)
        y = over(states, _filled(x, axis))
        return (y if rows == y.shape[axis] else jax.lax.slice_in_dim(y, 0, rows, axis=axis)), state

    return jax.jit(program)


def shard_map(f: Any, mesh: Any, given: Any, out: Any) -> Any:
    """``jax.shard_map`` under the names that it has had, without its check of what is equal on all devices."""
    if hasattr(jax, "shard_map"):
        return jax.shard_map(f, mesh=mesh, in_specs=given, out_specs=out, check_vma=False)
    from jax.experimental.shard_map import shard_map as older

    return older(f, mesh=mesh, in_specs=given, out_specs=out, check_rep=False)


def prepare_ranks() -> None:
    """Ask for two host devices; possible only before JAX has made its first array."""
    try:
        jax.config.update("jax_num_cpu_devices", RANKS)
    except RuntimeError:  # it has: then there are as many as there are
        return
    except AttributeError:  # older releases read it from the environment, at the first array as well
        given = os.environ.get("XLA_FLAGS", "")
        if "host_platform_device_count" not in given:
            os.environ["XLA_FLAGS"] = f"{given} --xla_force_host_platform_device_count={RANKS}".strip()


def two_devices() -> Any:
    """The devices of the ranks. Raises Unsupported where JAX started with one."""
    found = jax.devices()
    if len(found) < RANKS:
        raise Unsupported(
            f"JAX has started with {len(found)} device before the mode could ask for {RANKS}: make no array while the "
            f"module is imported, or set XLA_FLAGS=--xla_force_host_platform_device_count={RANKS}"
        )
    import numpy as np

    return np.array(found[:RANKS])
