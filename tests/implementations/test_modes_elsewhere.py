"""Modes of TensorFlow, Keras and MLX: a defect that lives in one mode is caught through it, and its right twin passes."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

import dropcheck
from spatial_dropouts.broken.records.modes_elsewhere import DEFECTS, ModeDefect

pytestmark = pytest.mark.workers("keras")

# large enough for every check named there, and few calls, each of which may be a trace
CASES = {
    "mask.distinct-calls": "float32 rate=0.5 9,65,4 calls=64",
    "mask.distinct-samples": "float32 rate=0.5 64,65,4 calls=16",
    "rate.marginal": "bfloat16 rate=0.3 4097,65,4 calls=6",
}


def verdicts(defect: ModeDefect, place: str, mode: str) -> list[str]:
    if find_spec(place.rpartition("modes_")[2].partition(":")[0] if "modes_mlx" in place else "tensorflow") is None:
        pytest.skip("the framework is not installed")
    case = CASES[defect.check]
    if not mode and defect.mode == "mixed":
        case = case.replace("bfloat16", "float32")
    result = dropcheck.audit(
        defect.name(place, mode), select=(defect.check,), cases=(case,), in_process=not defect.backend, jobs=1
    )
    (target,) = result.targets
    assert target.error is None, target.error
    assert target.skipped is None, target.skipped
    return [f.verdict for f in target.findings if f.check == defect.check]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d.target.rpartition('.')[2]}@{d.mode}")
def test_a_defect_of_one_mode_is_caught_through_it(defect: ModeDefect) -> None:
    assert "fail" in verdicts(defect, defect.target, defect.mode)


@pytest.mark.parametrize(
    "defect", [d for d in DEFECTS if d.eager], ids=lambda d: f"{d.target.rpartition('.')[2]}@{d.mode}"
)
def test_and_lives_nowhere_else(defect: ModeDefect) -> None:
    assert verdicts(defect, defect.target, "") == ["pass"]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d.twin.rpartition('.')[2]}@{d.mode}")
def test_its_right_twin_passes_in_that_mode(defect: ModeDefect) -> None:
    assert verdicts(defect, defect.twin, defect.mode) == ["pass"]
