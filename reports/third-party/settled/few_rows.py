"""mask.distinct-samples of equimo's drop path: rows of a coin each repeat as often as chance has it; J/bin/python (JAX)."""

import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np


def lone(package, inside):
    """A file of a package, run by itself: the packages do not all import beside this framework."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(inside.replace("/", "_"), f"{folder}/{inside}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DropPath = lone("equimo", "layers/dropout.py").DropPath
rows, calls = 6, 4000
x = jnp.ones((rows, 2, 2))
layer = DropPath(0.5)
run = jax.jit(jax.vmap(lambda key: layer(x, key=key, inference=False)[:, 0, 0] == 0))
gone = np.asarray(run(jax.random.split(jax.random.key(6), calls)))
control = np.random.default_rng(6).random((calls, rows)) < 0.5


def repeats(coins):
    """Neighbouring calls whose rows all fall alike."""
    return int((coins[::2] == coins[1::2]).all(1).sum())


expected = calls / 2 / 2**rows
print(f"equimo's DropPath: {repeats(gone)} of {calls // 2} pairs of calls drop the same rows, rate {gone.mean():.4f}")
print(f"control, NumPy's coins: {repeats(control)}, expected {expected:.1f}")
sys.exit(0 if max(abs(repeats(gone) - expected), abs(repeats(control) - expected)) < 5 * expected**0.5 else 1)
