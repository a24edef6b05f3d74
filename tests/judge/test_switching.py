"""Ways of switching to inference outside of PyTorch: each is asked, and a layer that is wrong in one way alone fails there."""

from __future__ import annotations

import importlib.util

import pytest

import dropcheck
from dropcheck.results.audit import Finding
from spatial_dropouts.broken.records import switching as records_switching
from spatial_dropouts.broken.records.record import Defect

PLACE = "spatial_dropouts.broken.switching_"
SEEN = {  # what the sentence or the case must name
    "equinox-copied-flag": "switched by equinox.nn.inference_mode of a model",
    "equinox-built-in-training": "switched by inference= of the constructor",
    "linen-built-in-training": "switched by deterministic= of the constructor",
    "linen-kept-by-path": "switched by a parent Module",
    "nnx-own-eval": "switched by eval() of a parent",
    "nnx-built-in-training": "switched by deterministic= of the constructor",
    "haiku-built-in-training": "switched by is_training= of the constructor",
    "tf-keras-learning-phase": "switched by keras.backend.learning_phase",
}
TWINS = [
    ("equinox", "equinox:Right", 2),
    ("flax", "flax:LinenRight", 2),
    ("flax", "flax:NnxRight", 3),
    ("haiku", "haiku:Right", 1),
    ("haiku", "haiku:RightByConstructor", 0),
    ("tf_keras", "tf_keras:Right", 2),
]


def audited(target: str) -> list[Finding]:
    """The findings of a quick audit of both checks of the mode, in this process."""
    select = ("mode.inference", "mode.toggle")
    given = {"select": select, "dtypes": ("float32",), "in_process": True, "jobs": 1, "causes": False}
    few = {"shapes": ((5, 33, 33),)}  # every shape costs a compilation
    (found,) = dropcheck.audit(target, **given, **few).targets  # type: ignore[arg-type]
    assert found.error is None, found.error
    return found.findings


@pytest.mark.parametrize("defect", records_switching.ELSEWHERE, ids=lambda d: d.name)
def test_what_one_way_of_switching_does_not_reach_fails_there(defect: Defect) -> None:
    package = {"flax-linen": "flax", "flax-nnx": "flax"}.get(defect.framework, defect.framework)
    if importlib.util.find_spec(package) is None:
        pytest.skip("not installed")
    failed = [f for f in audited(defect.target) if f.verdict == "fail"]
    assert {f.check for f in failed} == {defect.check}
    if defect.name in SEEN:  # and in no other way
        assert {f.case for f in failed} == {f"float32 {SEEN[defect.name]}"}
    else:
        assert "float32 rate=0.5" in {f.case for f in failed}


@pytest.mark.parametrize("package, twin, ways", TWINS, ids=[twin for _, twin, _ in TWINS])
def test_the_right_twin_passes_in_every_way(package: str, twin: str, ways: int) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip("not installed")
    found = audited(PLACE + twin)
    assert {f.verdict for f in found} == {"pass"}
    asked = {f.case for f in found if f.check == "mode.inference" and "switched by" in f.case}
    assert len(asked) == ways
