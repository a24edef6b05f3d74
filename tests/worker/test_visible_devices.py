"""A worker sees the devices of its request; what says of itself that it is on a device is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.contract.devices import Device
from dropcheck.contract.errors import UsageError
from dropcheck.plan import targets
from dropcheck.report.field import command
from dropcheck.results.audit import Result
from dropcheck.worker import visible_devices
from dropcheck.worker.client import LocalSession, ask
from dropcheck.worker.server import answers
from dropcheck.worker.server.timing import Loop
from dropcheck.worker.sessions import SessionSpec

LAYER = """
import os
import numpy as np

SEEN = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "KERAS_TORCH_DEVICE", "JAX_PLATFORM_NAME")]
if SEEN != {expected}:
    raise RuntimeError(f"the environment is {{SEEN}}")

def layer(x, rate, *, training, rng):
    if not training:
        return x
    return np.where(rng.random((*x.shape[:2], 1)) < rate, x.dtype.type(0), x * x.dtype.type(1 / (1 - rate)))
"""
HIDDEN = ["-1", "cpu", "cpu", ""]


@pytest.mark.parametrize(
    "theirs", [{}, {"CUDA_VISIBLE_DEVICES": "0", "JAX_PLATFORM_NAME": "gpu", "KERAS_TORCH_DEVICE": "cuda"}]
)
def test_a_worker_on_the_cpu_sees_no_gpu_whatever_its_user_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: dict[str, str]
) -> None:
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "mine.py"
    place.write_text(LAYER.format(expected=HIDDEN))
    result = dropcheck.audit(f"{place}:layer", select=("rate.zero",), jobs=1, in_process=False)
    assert result.targets[0].error is None and result.verdict == "pass"


def test_a_worker_on_a_gpu_or_that_brings_its_gpu_sees_it() -> None:
    for found in (visible_devices.variables("cuda"), visible_devices.variables("cpu", "cuda-graph")):
        assert "CUDA_VISIBLE_DEVICES" not in found and found["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_a_model_is_looked_at_on_the_device_that_it_is_audited_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dropcheck.plan import models

    place = tmp_path / "net.py"
    place.write_text("import torch\nnet = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.3))\n")
    seen: list[SessionSpec] = []
    real = SessionSpec.bare

    def bare(spec: SessionSpec) -> Any:
        seen.append(spec)
        return real(spec)

    monkeypatch.setattr(SessionSpec, "bare", bare)
    one, whole = models.expanded([targets.parse(f"{place}:net")], (2, 4), None, False, "cuda")
    assert one.name.endswith("#1") and whole.sites is not None and seen[0].device == "cuda"


def test_what_cannot_be_placed_says_so() -> None:
    session = LocalSession()
    try:
        request = {"locator": "custom.reference", "source": "spatial_dropouts:implementations", "pattern": None}
        ask(session, "open", **request, device="cpu")
        with pytest.raises(Exception, match="runs on the CPU only; leave out --device cuda"):
            ask(session, "open", **request, device="cuda")
    finally:
        session.close()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_an_adapter_is_told_its_device_once_before_any_layer_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    from spatial_dropouts.adapters import placing

    monkeypatch.setattr(placing, "torch", told.append)
    worker = answers.Worker()
    worker.open("torch.Dropout1d", "spatial_dropouts:implementations", None)
    assert told == ["cpu"]


def test_results_of_two_devices_are_not_put_into_one_report() -> None:
    def of(*words: str) -> Result:
        return Result(
            verdict="pass",
            targets=[],
            environment={},
            argv=["audit", *words],
            profile="quick",
            seed=1,
            alpha=1e-6,
            beta=1e-6,
        )

    with pytest.raises(UsageError, match="one device, and these results are of cpu and cuda"):
        command.joined([of("a"), of("b", "--device", "cuda")], [])


def test_a_loop_goes_on_with_the_next_input_from_part_to_part() -> None:
    met: list[int] = []
    loop = Loop(met.append, list(range(7)), Device(), np.errstate)
    loop.block(20, parts=5)
    assert met == [i % 7 for i in range(20)]


def test_ways_of_recomputing_that_raise_or_do_not_apply_hide_no_other() -> None:
    from dropcheck.contract.adapter import Unsupported

    class Adapter:
        framework, recompute_ways = "mine", ("breaks", "has none", "works")

        def tensor(self, values: Any, dtype: str, layout: str) -> Any:
            return np.asarray(values, dtype)

        def array(self, tensor: Any) -> Any:
            return tensor

        def dtype_of(self, tensor: Any) -> str:
            return str(tensor.dtype)

        def recompute(self, layer: Any, x: Any, cotangent: Any, way: str) -> Any:
            if way == "breaks":
                raise RuntimeError("no")
            if way == "has none":
                raise Unsupported("there is no such thing")
            return x, cotangent

    worker = answers.Worker()
    worker.adapter = Adapter()  # type: ignore[assignment]
    worker.things[1] = None
    x = np.ones((3, 4, 2), np.float32)
    told = worker.recompute(1, x, "float32", x, 2)["answers"]
    assert [(one["way"], one["call"]) for one in told] == [("breaks", 1), ("has none", 1), ("works", 1), ("works", 2)]
    assert told[0]["error"]["type"] == "RuntimeError" and told[1]["unsupported"] == "there is no such thing"
    assert told[2]["gradient"].shape == x.shape
