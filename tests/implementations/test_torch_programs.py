"""Modules that were compiled, scripted, traced or exported: handled, or refused in one true sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dropcheck
from dropcheck.worker.server.answers import Worker
from spatial_dropouts.adapters import models_base
from spatial_dropouts.adapters.loading import NoDropout

pytest.importorskip("torch")

MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.lin, self.drop = nn.Linear(6, 6), nn.Dropout(p)
    def forward(self, x):
        return self.drop(self.lin(x))

class ComplexDrop(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
    def forward(self, x):
        return x * (torch.rand(x.shape) >= self.p) / (1 - self.p) if self.training else x

class Fourier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin, self.drop = nn.Linear(6, 6), ComplexDrop()
    def forward(self, x):
        return self.drop(torch.fft.fft(self.lin(x)))

sample_input = torch.randn(4, 6)
compiled = torch.compile(Net(), backend="eager")
traced = torch.jit.trace(Net().train(), sample_input, check_trace=False)
scripted = torch.jit.script(Net())
fourier = Fourier()
jagged = Net()
jagged_input = torch.nested.nested_tensor([torch.randn(3, 6), torch.randn(5, 6)], layout=torch.jagged)

def exported():
    return torch.export.export(Net().train(), (sample_input,)).module()

def program(p):
    dynamic = torch.export.Dim.AUTO
    whole = torch.export.export(
        nn.Dropout1d(p).train(), (torch.randn(3, 5, 7),), dynamic_shapes=({0: dynamic, 1: dynamic, 2: dynamic},)
    )
    return whole.module()

whole_program = torch.export.export(Net().train(), (sample_input,))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("programs") / "programs.py"
    Path(place).write_text(MODELS)
    return str(place)


def _survey(models: str, name: str) -> dict[str, Any]:
    return models_base.survey(f"{models}:{name}", None, 8, 1.0)


def test_a_compiled_model_is_looked_through(models: str) -> None:
    found = _survey(models, "compiled")
    assert [one["name"] for one in found["layers"]] == ["drop"]
    assert any("is compiled" in note for note in found["notes"])


@pytest.mark.parametrize(
    "name, words",
    [
        ("traced", "a traced program .* after eval.., too: it drops in inference"),
        ("scripted", "a scripted program .* not after eval"),
        ("exported", "an exported program .* cannot be switched"),
    ],
)
def test_a_program_is_refused_with_what_it_does(models: str, name: str, words: str) -> None:
    with pytest.raises(NoDropout, match=words):
        _survey(models, name)


@pytest.mark.parametrize("name, words", [("fourier", "a complex64 tensor"), ("jagged", "a nested tensor")])
def test_a_layer_that_is_called_with_something_else_is_named(models: str, name: str, words: str) -> None:
    found = _survey(models, name)
    assert not found["layers"]
    assert any(f"is called with {words}" in note for note in found["notes"]), found["notes"]


def test_an_exported_program_has_a_sentence(models: str) -> None:
    answer = Worker().handle({"ask": "open", "locator": f"{models}:whole_program", "source": "user", "pattern": None})
    assert "an ExportedProgram was given" in answer["error"]["message"]


def test_a_factory_of_exported_programs_is_asked_in_training(models: str) -> None:
    worker = Worker()
    worker.handle({"ask": "open", "locator": f"{models}:program", "source": "user", "pattern": None})
    made = worker.handle({"ask": "make", "rate": 0.5, "dtype": "float32", "seed": 3, "way": "global"})
    call = {"ask": "apply", "id": made["id"], "x": np.ones((8, 33, 4)), "dtype": "float32", "layout": "contiguous"}
    training = worker.handle({**call, "training": True, "record": False})
    assert 0.3 < (training["ys"][0] == 0).mean() < 0.7
    inference = worker.handle({**call, "training": False, "record": False})
    assert inference["where"] == "unsupported" and "cannot be switched" in inference["error"]["message"]


def test_most_exports_are_copies_that_run_alike_and_refuse_to_be_switched(models: str) -> None:
    worker = Worker()
    worker.handle({"ask": "open", "locator": f"{models}:program", "source": "user", "pattern": None})
    call = {"ask": "apply", "x": np.ones((8, 33, 4)), "dtype": "float32", "layout": "contiguous", "record": False}
    ys = []
    for seed in (3, 3, 3, 3, 4):  # the fourth and fifth are copies
        made = worker.handle({"ask": "make", "rate": 0.5, "dtype": "float32", "seed": seed, "way": "global"})
        ys.append(worker.handle({**call, "id": made["id"], "training": True})["ys"][0])
        inference = worker.handle({**call, "id": made["id"], "training": False})
        assert "cannot be switched" in inference["error"]["message"]
    assert all(np.array_equal(ys[0], y) for y in ys[1:4]) and not np.array_equal(ys[0], ys[4])


def test_an_audit_of_an_exported_layer_skips_what_asks_for_inference(models: str) -> None:
    given = {"select": ("mode", "form.shape-dtype", "seed.reset"), "dtypes": ("float32",), "in_process": True}
    (found,) = dropcheck.audit(f"{models}:program", jobs=1, causes=False, **given).targets  # type: ignore[arg-type]
    assert found.error is None and not [f for f in found.findings if f.verdict == "fail"]
    verdicts = {(f.check, f.case): f.verdict for f in found.findings}
    assert verdicts["form.shape-dtype", "float32 rate=0.3 inference"] == "skipped"
    assert verdicts["mode.inference", "float32 switched by setting .training"] == "skipped"
    assert verdicts["seed.reset", "float32 5,7,3 way=global"] == "pass"


@pytest.mark.parametrize(
    "name, failing",
    [
        ("unusual.with-weights", set()),
        ("broken.block-beside-weights", {"seed.reset"}),
        ("broken.stuck-off", {"seed.reset"}),
    ],
)
def test_what_a_constructor_draws_is_no_failure_to_reseed(name: str, failing: set[str]) -> None:
    given = {"select": ("seed.reset", "seed.reproducible"), "in_process": True}
    (found,) = dropcheck.audit(name, jobs=1, causes=False, **given).targets  # type: ignore[arg-type]
    assert {f.check for f in found.findings if f.verdict == "fail"} == failing
