#!/bin/sh
# Flax 0.12.8 (nnx): clones of a layer drop what the original drops, call by call.
#
# nnx.clone copies the state of the layer's random stream with everything else. A stack that is built by cloning one block (six
# equal encoder layers, members of an ensemble, a Siamese pair) therefore drops the same units in every block, in every step, and
# not units of its own in each. Nothing warns of it. Layers of one class that are constructed one by one from the same nnx.Rngs
# draw masks of their own.
#
# Nor does the obvious remedy help: with nnx.Rngs(0) the layer's stream bears the name "default", and nnx.reseed(layer, dropout=n)
# finds no stream of the name "dropout", changes nothing and says nothing. nnx.reseed(layer, default=n) gives each clone its own.
#
# Valid input: ones of shape (64, 256), rate .5, training. Two independent masks are equal with probability 2^-16384.
#
# Seen with flax 0.12.8, jax 0.10.2, numpy 2.4.6, Python 3.11, CPU:
#   six clones, 20 steps: all six masks equal in 20 of 20 steps
#   six layers constructed one by one, 20 steps: two or more masks equal in 0 of 20 steps
#   six clones, each reseeded by the name "dropout", 20 steps: all six masks equal in 20 of 20 steps
#   six clones, each reseeded by the name "default", 20 steps: two or more masks equal in 0 of 20 steps
#
# Exits with 0 while this is so, with 1 where the behaviour has changed, with 2 where the packages cannot be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet flax==0.12.8 jax==0.10.2 numpy==2.4.6 || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'END'
import sys

import jax.numpy as jnp
import numpy as np
from flax import nnx

STEPS, BLOCKS = 20, 6
x = jnp.ones((64, 256))


def different(layers):
    """The number of different masks in each step, all layers called once a step."""
    return [len({np.asarray(layer(x) == 0).tobytes() for layer in layers}) for _ in range(STEPS)]


template = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
clones = different([nnx.clone(template) for _ in range(BLOCKS)])
print(f"six clones, {STEPS} steps: all six masks equal in {sum(n == 1 for n in clones)} of {STEPS} steps")

rngs = nnx.Rngs(0)
built = different([nnx.Dropout(0.5, rngs=rngs) for _ in range(BLOCKS)])
shared = sum(n < BLOCKS for n in built)
print(f"six layers constructed one by one, {STEPS} steps: two or more masks equal in {shared} of {STEPS} steps")

by_dropout = [nnx.clone(template) for _ in range(BLOCKS)]
for number, layer in enumerate(by_dropout):
    nnx.reseed(layer, dropout=number)
still = different(by_dropout)
equal = sum(n == 1 for n in still)
print(f'six clones, each reseeded by the name "dropout", {STEPS} steps: all six masks equal in {equal} of {STEPS} steps')

by_default = [nnx.clone(template) for _ in range(BLOCKS)]
for number, layer in enumerate(by_default):
    nnx.reseed(layer, default=number)
apart = different(by_default)
shared = sum(n < BLOCKS for n in apart)
print(f'six clones, each reseeded by the name "default", {STEPS} steps: two or more masks equal in {shared} of {STEPS} steps')

as_seen = clones == still == [1] * STEPS and built == apart == [BLOCKS] * STEPS
print("as seen" if as_seen else "the behaviour has changed")
sys.exit(0 if as_seen else 1)
END
