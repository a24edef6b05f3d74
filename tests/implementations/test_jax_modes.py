"""JAX' modes are really entered, what lives in one of them only is caught through it, and its right twin passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kits.forked import Parents

import dropcheck
from spatial_dropouts.broken.records import jax_modes as records_jax_modes

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.workers("jax.numpy")

RIGHT = "spatial_dropouts.broken.jax_functions:right"


def opened(function: Any, mode: str) -> Any:
    from dropcheck.contract.adapter import Implementation
    from spatial_dropouts.adapters.jax_functions import JaxFunctions

    adapter = JaxFunctions(function, Implementation(make=function))
    if mode != "eager":
        adapter.use(mode)
    return adapter


class Traced:
    """A dropout that notes every time that Python runs it, and the shape that it is given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, x: Any, rate: float, *, training: bool, key: Any) -> Any:
        from spatial_dropouts.broken.jax_functions import right

        self.shapes.append(tuple(x.shape))
        return right(x, rate, training=training, key=key)


@pytest.mark.parametrize(
    "mode, runs, shape",
    [("eager", 8, (6, 4, 3)), ("jit", 1, (6, 4, 3)), ("vmap", 1, (1, 4, 3)), ("scan", 1, (6, 4, 3))],
)
def test_a_mode_is_entered(mode: str, runs: int, shape: tuple[int, ...]) -> None:
    seen = Traced()
    adapter = opened(seen, mode)
    layer = adapter.make(0.5, "float32", 3, "key")
    x = adapter.tensor(np.ones((6, 4, 3)), "float32")
    masks = {adapter.array(adapter.apply(layer, x, True)).tobytes() for _ in range(8)}
    # traced once where there is a trace, and all eight calls differ
    assert len(seen.shapes) == runs and set(seen.shapes) == {shape}
    assert len(masks) == 8


@pytest.mark.parametrize("mode", ["eager", "checkpoint"])
def test_only_under_checkpoint_the_forward_pass_is_marked_for_recomputation(mode: str) -> None:
    adapter = opened(Traced(), mode)
    layer = adapter.make(0.5, "float32", 3, "key")
    x = adapter.tensor(np.ones((6, 4, 3)), "float32")
    program = str(jax.make_jaxpr(adapter.program(layer, mode))(layer.state, x))
    assert ("checkpoint" in program or "remat" in program) == (mode == "checkpoint")


def test_under_ranks_each_of_two_devices_has_half_of_the_batch(parents: Parents, tmp_path: Path) -> None:
    script = """
import numpy as np
from dropcheck.adapter import Implementation
from spatial_dropouts.adapters.jax_functions import JaxFunctions
seen = []
def dropout(x, rate, *, training, key):
    from spatial_dropouts.broken.jax_functions import right
    seen.append(x.shape)
    return right(x, rate, training=training, key=key)
adapter = JaxFunctions(dropout, Implementation(make=dropout))
adapter.use("ranks")
layer = adapter.make(0.5, "float32", 3, "key")
y = adapter.apply(layer, adapter.tensor(np.ones((6, 64, 3)), "float32"), True)
masks = np.asarray(y)[:, :, 0]
print(seen, len(y.sharding.device_set), np.array_equal(masks[:3], masks[3:]))
odd = adapter.apply(layer, adapter.tensor(np.ones((1, 64, 3)), "float32"), True)
print(odd.shape)
"""
    (tmp_path / "script.py").write_text(script)
    done = parents.run([str(tmp_path / "script.py")], ("numpy", "jax.numpy"))
    assert done.stdout.splitlines() == ["[(3, 64, 3)] 2 False", "(1, 64, 3)"], done.stderr


def test_sharded_samples_lie_on_two_devices_and_have_the_masks_of_one(parents: Parents, tmp_path: Path) -> None:
    script = """
import numpy as np
from dropcheck.adapter import Implementation
from spatial_dropouts.adapters.jax_functions import JaxFunctions
from spatial_dropouts.broken import jax_functions
for function in (jax_functions.right, jax_functions.key_of_the_shard):
    adapter = JaxFunctions(function, Implementation(make=function))
    adapter.use("jit-sharded")
    one, other = adapter.own_keys(0.5, "float32", 3, "key", adapter.tensor(np.ones((6, 64, 3)), "float32"))
    devices, (one, other) = len(one.sharding.device_set), (np.asarray(y) for y in (one, other))
    print(devices, int((one == other).all(axis=(1, 2)).sum()), np.array_equal(one[:3], one[3:]))
    layer = adapter.make(0.5, "float32", 3, "key")
    x = adapter.tensor(np.ones((5, 64, 3)), "float32")  # an odd batch
    y, gradient = (np.asarray(y) for y in adapter.gradient(layer, x, x))
    print(adapter.apply(layer, x, True).shape, adapter.apply(layer, x, False).shape, np.array_equal(y, gradient))
"""
    (tmp_path / "script.py").write_text(script)
    done = parents.run([str(tmp_path / "script.py")], ("numpy", "jax.numpy"))
    assert done.stdout.splitlines() == [
        "2 6 False",
        "(5, 64, 3) (5, 64, 3) True",
        "2 0 False",
        "(5, 64, 3) (5, 64, 3) True",
    ], done.stderr


def test_one_device_is_no_two_ranks_and_says_what_would_make_it() -> None:
    from dropcheck.contract.adapter import Unsupported

    jax.numpy.zeros(1)  # JAX has started
    if len(jax.devices()) > 1:
        pytest.skip("this process has several devices")
    with pytest.raises(Unsupported, match="XLA_FLAGS=--xla_force_host_platform_device_count=2"):
        opened(Traced(), "ranks")


def test_a_pattern_without_samples_has_no_map() -> None:
    from dropcheck.contract.adapter import Implementation, Unsupported
    from spatial_dropouts.adapters.jax_functions import JaxFunctions

    adapter = JaxFunctions(Traced(), Implementation(make="x:y", contract="n c l -> c"))
    with pytest.raises(Unsupported, match="no axis of samples"):
        adapter.use("vmap")


def asked(check: str) -> dict[str, Any]:
    """One case where a check counts coins: each further shape is compiled anew."""
    cases = () if check.startswith("gradient") else ("float32 rate=0.5 258,64,4 calls=64",)
    return dict(select=(check,), dtypes=("float32",), cases=cases, jobs=1, causes=False)


@pytest.mark.parametrize("defect", records_jax_modes.DEFECTS, ids=lambda d: d.name)
def test_a_defect_of_one_mode_is_caught_there_alone(defect: Any) -> None:
    eager = defect.target.partition("@")[0]
    result = dropcheck.audit(eager, defect.target, **asked(defect.check))
    found = {t.target: {f.verdict for f in t.findings} for t in result.targets}
    assert all(t.error is None for t in result.targets), [t.error for t in result.targets]
    assert "fail" not in found[eager] and "pass" in found[eager]
    assert "fail" in found[defect.target]


@pytest.mark.parametrize("defect", records_jax_modes.DEFECTS, ids=lambda d: d.mode)
def test_its_right_twin_passes_there(defect: Any) -> None:
    result = dropcheck.audit(f"{RIGHT}@{defect.mode}", **asked(defect.check))
    (target,) = result.targets
    assert target.verdict == "pass", (target.error, [f.message for f in target.findings if f.verdict != "pass"])
