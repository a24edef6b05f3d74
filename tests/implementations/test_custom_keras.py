"""Our Keras layer on each backend: selection, exact quotients, seeds, gradients, and a model that is saved and loaded.

A process has one backend of Keras: each is asked in a process of its own, a fork of one that has imported it.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from kits.forked import Parents

PROGRAM = """
import json, os, sys, tempfile
import keras, numpy as np
from spatial_dropouts.custom.keras_layer import SpatialDropout

def called(layer, x):
    return np.asarray(keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(x), training=True)))

x = np.linspace(1, 2, 8 * 5 * 16, dtype="float32").reshape(8, 5, 16)
x[:, :, 3] = np.inf
y = called(SpatialDropout(0.3, seed=5), x)
dropped = (y == 0).all(1)
assert ((y == 0).any(1) == dropped).all() and 0 < dropped.sum() < dropped.size, "whole channels"
expected = np.where(dropped[:, None], 0, (x.astype("float64") / 0.7).astype("float32"))
if keras.backend.backend() == "jax":  # has float32 only
    np.testing.assert_array_max_ulp(y, expected, 1)
else:
    assert (y == expected).all(), "exact quotients"
layer = SpatialDropout(0.3, seed=5)
first, second = called(layer, x), called(layer, x)
assert (first == y).all() and (second != y).any(), "a seed, and another mask at the next call"
again = SpatialDropout(0.3, seed=6)
assert (called(again, x) != second).any(), "no seed's calls are those of the next seed"
keras.utils.set_random_seed(3); a = called(SpatialDropout(0.3), x)
keras.utils.set_random_seed(3); b = called(SpatialDropout(0.3), x)
assert (a == b).all(), "Keras' own seed"
assert (np.asarray(SpatialDropout(0.3)(x)) == x).all(), "inference"
assert (called(SpatialDropout(1.0), x) == 0).all() and (called(SpatialDropout(0.0), x) == x).all()
first = called(SpatialDropout(0.5, "n c h w -> n c", seed=1), np.ones((4, 8, 3, 3), "float32"))
assert (first.reshape(4, 8, 9).min(2) == first.reshape(4, 8, 9).max(2)).all(), "channels first"
mixed = SpatialDropout(0.3, seed=5, dtype="mixed_bfloat16")(keras.ops.convert_to_tensor(x), training=True)
assert keras.backend.standardize_dtype(mixed.dtype) == "bfloat16"
for bad in (-0.1, 1.5, float("nan")):
    try:
        SpatialDropout(bad)
    except ValueError as problem:
        assert "probability" in str(problem)
    else:
        raise AssertionError(bad)

model = keras.Sequential([keras.Input((5, 16)), SpatialDropout(0.3, seed=5), keras.layers.Conv1D(4, 3)])
model.compile("sgd", "mse")
history = model.fit(np.ones((8, 5, 16), "float32"), np.zeros((8, 3, 4), "float32"), epochs=2, verbose=0).history["loss"]
assert all(np.isfinite(history))
path = os.path.join(tempfile.mkdtemp(), "model.keras")
model.save(path)
loaded = keras.saving.load_model(path).layers[0]
assert (loaded.rate, str(loaded.pattern), loaded.seed) == (0.3, "n l c -> n c", 5)
print("done")
"""


@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_on_each_backend(parents: Parents, tmp_path: Path, backend: str) -> None:
    for module in ("keras", backend):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    ran = parents.run([str(tmp_path / "program.py")], ("numpy", "keras"), env=environment, timeout=300)
    assert ran.returncode == 0 and ran.stdout.endswith("done\n"), ran.stderr[-3000:]
