"""Keras' global seed reaches what is imported, and what is imported later; it imports nothing, nor does a copy of a layer."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from kits.forked import Parents

SCRIPT = """
import copy, importlib.util, os, random, sys
os.environ["KERAS_BACKEND"] = {backend!r}
import keras
import numpy as np
from spatial_dropouts.adapters.keras_seeding import seed_everything, spared

def draws(seed, kind):
    seed(kind)
    layer = keras.layers.SpatialDropout1D(.5)
    found = keras.ops.convert_to_numpy(layer(np.ones((4, 3, 16), "float32"), training=True))
    return np.asarray(found).tolist(), random.random(), np.random.random()

mine, again = (draws(lambda s: seed_everything(keras, s), 7) for _ in range(2))
assert mine == again
layer = keras.layers.SpatialDropout1D(.3)
assert spared(keras.backend.backend(), lambda: copy.deepcopy(layer)).rate == .3
assert "tensorflow" not in sys.modules
assert importlib.util.find_spec("tensorflow")  # somebody looks whether it is there, and does not import it
import tensorflow as tf

mine_later = float(tf.random.uniform(()))
assert mine == draws(keras.utils.set_random_seed, 7)
theirs = float(tf.random.uniform(()))
assert mine_later == theirs
seed_everything(keras, 7)
assert theirs == float(tf.random.uniform(()))
seed_everything(keras, 8)
assert theirs != float(tf.random.uniform(()))
print("same")
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_seed_is_keras_own_and_reaches_a_tensorflow_that_comes_later(
    parents: Parents, tmp_path: Path, backend: str
) -> None:
    for module in ("keras", "tensorflow", backend):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    (tmp_path / "script.py").write_text(SCRIPT.format(backend=backend))
    environment = {**os.environ, "KERAS_BACKEND": backend}
    ran = parents.run([str(tmp_path / "script.py")], ("numpy", "keras"), env=environment, timeout=300)
    assert ran.stdout.strip() == "same", ran.stderr
