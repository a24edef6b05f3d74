"""Modes of Keras 3 and Keras 2: really traced, compiled or cast, and the seed state goes on; what cannot be is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

pytestmark = pytest.mark.keras

# One process a backend. It prints what it saw: how often the layer's body ran, whether under a tracer, and the masks.
SCRIPT = """
import json, sys
import numpy as np
from dropcheck.adapter import Implementation, Unsupported
from spatial_dropouts.adapters import adapter_for, load
library, mode = sys.argv[1:]
base = load(library + ".layers:SpatialDropout1D")
seen = []
class Counted(base):
    def call(self, x, training=False):
        seen.append((type(x).__name__, str(x.dtype).replace("<dtype: '", "").replace("'>", "")))
        return super().call(x, training=training)
adapter = adapter_for(Counted, Implementation(make=Counted, contract="n l c -> n c"))
adapter.use(mode)
dtype = adapter.dtypes()[0]
layer = adapter.make(0.5, dtype, 1, "global")
seen.clear()
x = adapter.tensor(np.ones((4, 2, 50)), dtype)
ys = [adapter.apply(layer, x, True) for _ in range(4)]
masks = [(adapter.array(y) == 0).tolist() for y in ys]
calls = len(seen)
again = (adapter.array(adapter.apply(adapter.reseed(layer, 1, "global"), x, True)) == 0).tolist()
y, gradient = adapter.gradient(layer, x, x)
print(json.dumps({"framework": adapter.framework, "modes": adapter.modes, "calls": calls, "seen": seen[0],
    "distinct": len({json.dumps(m) for m in masks}), "again": again == masks[0], "out": adapter.dtype_of(ys[0]), "dtype": dtype,
    "gradient": adapter.dtype_of(gradient),
    "same": ((adapter.array(y) == 0) == (adapter.array(gradient) == 0)).all().item()}))
"""


def seen(library: str, backend: str, mode: str) -> dict[str, Any]:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, library, mode], env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("library", "backend", "mode", "tensor"),
    [
        ("keras", "jax", "jit", "DynamicJaxprTracer"),
        ("keras", "tensorflow", "graph", "SymbolicTensor"),
        ("keras", "tensorflow", "xla", "SymbolicTensor"),
        ("tf_keras", "tensorflow", "graph", "SymbolicTensor"),
    ],
)
def test_a_layer_is_traced_once_and_its_seed_state_goes_on(library: str, backend: str, mode: str, tensor: str) -> None:
    found = seen(library, backend, mode)
    assert found["calls"] == 1 and found["seen"][0] == tensor
    assert found["distinct"] == 4 and found["again"] and found["same"]
    assert mode in found["modes"]


@pytest.mark.parametrize(
    ("library", "backend"), [("keras", "torch"), ("keras", "jax"), ("keras", "tensorflow"), ("tf_keras", "tensorflow")]
)
def test_a_mixed_layer_is_given_float32_and_computes_in_less(library: str, backend: str) -> None:
    found = seen(library, backend, "mixed")
    # the layer's own call sees what Keras cast
    assert found["dtype"] == found["out"] == found["gradient"] == "float16" and "float16" in found["seen"][1]
    assert found["calls"] == 4 and found["distinct"] == 4 and found["again"]
