"""The clock on every framework that is installed: it waits where calls return early, and says what it cannot time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dropcheck.contract.cells import parse_cell
from dropcheck.contract.devices import allocation
from dropcheck.contract.promise import Pattern
from dropcheck.plan import targets
from dropcheck.worker.client import LocalSession, Refused, ask


@pytest.fixture
def session() -> Iterator[LocalSession]:
    made = LocalSession()
    yield made
    made.close()
    allocation("fresh")  # this process is not one of a bench


def opened(session: LocalSession, name: str) -> Pattern:
    target = targets.parse(name)
    found = ask(session, "open", locator=target.locator, source=target.source, pattern=None, mode=target.mode)
    ask(session, "time", do="threads", wanted=1)
    return Pattern.parse(found["contract"]["pattern"])


def timed(session: LocalSession, pattern: Pattern, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    request = parse_cell(text).request(pattern, 1)
    made = ask(session, "time", do="setup", cell=request, slot_ms=0.5, yard_ms=0.2)
    return made, ask(session, "time", do="run", item="target")


EVERY = [
    ("custom.reference", "numpy", "Device", False),
    ("torch.Dropout1d", "torch", "TorchDevice", True),
    ("custom.jax@jit", "jax", "JaxDevice", True),
    ("flax.linen.SpatialDropout1D@jit", "flax", "JaxDevice", True),
    ("mlx.Dropout2d", "mlx.core", "MlxDevice", True),
    ("onnxruntime.Dropout", "onnxruntime", "Device", False),
    pytest.param("tensorflow.spatial_dropout1d@graph", "tensorflow", "TensorflowDevice", True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "module", "device", "gradients"), EVERY)
def test_every_framework_is_timed_on_its_own_device(
    session: LocalSession, name: str, module: str, device: str, gradients: bool
) -> None:
    pytest.importorskip(module)
    pattern = opened(session, name)
    assert type(session.worker.stopwatch.device).__name__ == device
    made, found = timed(session, pattern, "2,64,16 forward")
    assert made["masks"] == "differ" and found["loops"] >= found["parts"] >= 1
    assert 0 < found["host_ns"] <= found["device_ns"] * 1.001 and found["cpu_ns"] > 0
    if gradients:
        assert timed(session, pattern, "2,64,16 backward")[1]["device_ns"] > 0
    else:
        with pytest.raises(Refused, match="no gradient"):
            timed(session, pattern, "2,64,16 backward")


def test_a_call_of_jax_is_dispatched_and_the_device_is_waited_for(session: LocalSession) -> None:
    jax = pytest.importorskip("jax")
    pattern = opened(session, "custom.jax@jit")
    watch = session.worker.stopwatch
    waited: list[Any] = []
    watch.device.wait = lambda value: (waited.append(value), jax.block_until_ready(value))
    timed(session, pattern, "2,64,16 forward")
    assert waited and all(
        isinstance(value, jax.Array) for value in waited if not isinstance(value, (tuple, type(None)))
    )


def test_a_shape_that_was_met_before_is_not_compiled_again(session: LocalSession) -> None:
    pytest.importorskip("mlx.core")
    pattern = opened(session, "mlx.Dropout2d@jit")
    cells = [parse_cell(text).request(pattern, 1) for text in ("2,64,16", "3,64,16", "2,64,16")]
    found = ask(session, "time", do="compile", cells=cells)
    assert found["compilations"][0] >= 1 and found["compilations"][1] >= 1
    assert found["first_ns"] > found["call_ns"] > 0


RECOMPILING = """
import torch

class Recompiling(torch.nn.Dropout1d):
    calls = 0

    def forward(self, x):
        self.calls += 1
        number, drop = self.calls, super().forward
        return torch.compile(lambda x: drop(x) + 0 * number, dynamic=False, backend="eager")(x)
"""


@pytest.mark.slow
def test_a_layer_that_recompiles_at_every_call_has_no_speed_in_any_cell(
    session: LocalSession, write: Any, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pattern = opened(session, str(write("mine.py", RECOMPILING)) + ":Recompiling")
    # PyTorch itself would stop compiling after eight times, and run the third cell in eager mode
    for text in ("2,64,16 forward", "3,64,16 forward", "4,64,16 forward"):
        with pytest.raises(Refused, match="recompiles at every call: 3 compilations in 3 calls"):
            timed(session, pattern, text)
