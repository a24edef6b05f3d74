"""Modes of Keras 3 and Keras 2: really traced, compiled or cast, and the seed state goes on; what cannot be is refused."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from kits.forked import Parents, needed

pytestmark = pytest.mark.keras

# One process a backend. It prints what it saw in each mode: how often the layer's body ran, whether under a tracer, and the masks.
SCRIPT = """
import json, sys
import numpy as np
from dropcheck.adapter import Implementation, Unsupported
from spatial_dropouts.adapters import adapter_for, load
library, *modes = sys.argv[1:]
base = load(library + ".layers:SpatialDropout1D")
seen = []
class Counted(base):
    def call(self, x, training=False):
        seen.append((type(x).__name__, str(x.dtype).replace("<dtype: '", "").replace("'>", "")))
        return super().call(x, training=training)
found = {}
for mode in modes:
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
    found[mode] = {"framework": adapter.framework, "modes": adapter.modes, "calls": calls, "seen": seen[0],
        "distinct": len({json.dumps(m) for m in masks}), "again": again == masks[0], "out": adapter.dtype_of(ys[0]), "dtype": dtype,
        "gradient": adapter.dtype_of(gradient),
        "same": ((adapter.array(y) == 0) == (adapter.array(gradient) == 0)).all().item()}
print(json.dumps(found))
"""


def seen(parents: Parents, script: Path, library: str, backend: str, *modes: str) -> dict[str, dict[str, Any]]:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    script.write_text(SCRIPT)
    done = parents.run([str(script), library, *modes], needed(f"import {library}"), timeout=280, backend=backend)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("library", "backend", "tracers"),
    [
        ("keras", "torch", {}),
        ("keras", "jax", {"jit": "DynamicJaxprTracer"}),
        ("keras", "tensorflow", {"graph": "SymbolicTensor", "xla": "SymbolicTensor"}),
        ("tf_keras", "tensorflow", {"graph": "SymbolicTensor"}),
    ],
)
def test_a_layer_is_traced_once_or_computes_in_less_and_its_seed_state_goes_on(
    parents: Parents, tmp_path: Path, library: str, backend: str, tracers: dict[str, str]
) -> None:
    found = seen(parents, tmp_path / "script.py", library, backend, *tracers, "mixed")
    for mode, tensor in tracers.items():
        one = found[mode]
        assert one["calls"] == 1 and one["seen"][0] == tensor
        assert one["distinct"] == 4 and one["again"] and one["same"]
        assert mode in one["modes"]
    # a mixed layer is given float32 by its caller, and its own call sees what Keras cast
    mixed = found["mixed"]
    assert mixed["dtype"] == mixed["out"] == mixed["gradient"] == "float16" and "float16" in mixed["seen"][1]
    assert mixed["calls"] == 4 and mixed["distinct"] == 4 and mixed["again"]
