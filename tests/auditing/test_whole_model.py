"""A model is audited as a whole beside its layers: dropout in a function is counted, and fails where inference has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dropcheck
from dropcheck.judge.diagnosis import diagnose

TEXT = """
import torch, torch.nn.functional as F
from torch import nn
class Net(nn.Module):
    always = False
    def __init__(self):
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(8, 16), nn.Dropout(0.3), nn.Linear(16, 4)
    def forward(self, x):
        return self.b(F.dropout(self.drop(self.a(x)), 0.2, self.training or self.always))
class Always(Net):
    always = True
class Function(Net):
    def __init__(self):
        super().__init__()
        self.drop = nn.Identity()
class Seeded(Net):
    def forward(self, x):
        torch.manual_seed(3)
        return super().forward(x)
right, wrong, function, seeded = Net(), Always(), Function(), Seeded()
sample_input = torch.randn(16, 8)
"""


@pytest.fixture
def audited(write: Callable[[str, str], Path]) -> Callable[..., Any]:
    path = write("nets.py", TEXT)

    def audit(name: str, *select: str) -> Any:
        return dropcheck.audit(f"{path}:{name}", select=select, in_process=True, jobs=1)

    return audit


def test_a_model_is_one_target_more_than_its_layers(audited: Any) -> None:
    result = audited("right", "site", "rate.zero")
    layer, whole = result.targets
    assert layer.target.endswith("right#drop") and not layer.model and whole.target.endswith(":right") and whole.model
    assert whole.verdict == "pass" and {f.check for f in whole.findings} == {
        "site.reached",
        "site.gradient",
        "site.independent",
    }
    assert whole.traits["sites"].endswith("1 in layers that are audited in place, 1 elsewhere")
    assert whole.planned is not None and "site.reached" in whole.planned


def test_a_function_that_drops_in_inference_fails_the_model_and_names_its_line(audited: Any) -> None:
    (whole,) = audited("wrong", "site").targets
    (failed,) = [f for f in whole.findings if f.verdict == "fail"]
    assert (failed.check, failed.case) == ("site.reached", "inference")
    assert "F.dropout at nets.py:10, rate 0.2" in failed.message and "--select site.reached" in failed.replay


def test_a_model_whose_only_dropout_is_a_function_is_no_model_without_dropout(audited: Any) -> None:
    (whole,) = audited("function").targets
    assert whole.verdict == "pass" and whole.model


def test_layers_alone_are_audited_where_no_check_of_models_is_selected(audited: Any) -> None:
    (layer,) = audited("wrong", "rate.zero").targets
    assert layer.target.endswith("#drop")


def test_a_model_that_seeds_itself_repeats_its_masks_and_the_report_says_where(audited: Any) -> None:
    result = audited("seeded", "site.independent")
    whole = result.targets[-1]
    (cause,) = diagnose(whole)
    assert cause.observed.startswith("Seeded (nets.py:") and "its mask never changes" in cause.observed
    assert cause.fix.startswith("Do not seed the random generator inside of `forward`")


def test_declared_dropout_that_is_off_in_inference_is_told_what_to_change(write: Callable[[str, str], Path]) -> None:
    path = write("nets.py", TEXT)
    options: dict[str, Any] = {"select": ("site.reached",), "in_process": True, "jobs": 1, "inference": "active"}
    (cause,) = diagnose(dropcheck.audit(f"{path}:function", **options).targets[-1])
    assert cause.observed.startswith("0 of 1 dropout draws") and "after `eval()`" in cause.fix
    assert dropcheck.audit(f"{path}:wrong", **options).targets[-1].verdict == "pass"
