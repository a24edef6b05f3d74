"""Every planted defect is caught by the check that names it; no correct layer is accused, however unusual."""

from __future__ import annotations

from collections import Counter

import pytest

import dropcheck
from dropcheck.checks import CHECKS, FAMILIES
from spatial_dropouts import broken, unusual, zoo_names


@pytest.mark.parametrize("defect", broken.DEFECTS, ids=lambda d: d.name)
def test_a_planted_defect_is_caught_by_the_check_that_names_it(defect: broken.Defect) -> None:
    """In quick already; `python tests/measurements/zoo.py standard` measures the other profile."""
    result = dropcheck.audit(f"broken.{defect.name}", select=(defect.check,), in_process=True, jobs=1)
    (target,) = result.targets
    assert target.error is None, target.error
    failed = Counter(f.check for f in target.findings if f.verdict == "fail")
    assert failed[defect.check] > 0, Counter(f.verdict for f in target.findings)


@pytest.mark.parametrize("name", unusual.REGISTER)
def test_a_correct_layer_that_looks_unusual_passes_everything(name: str) -> None:
    result = dropcheck.audit(name, in_process=True, jobs=1, seed=20141111)
    (target,) = result.targets
    accused = [(f.check, f.case, f.message) for f in target.findings if f.verdict in ("fail", "error", "inconclusive")]
    assert target.error is None and not accused
    assert target.verdict == "pass"


def test_the_zoo_covers_every_family_and_almost_every_check() -> None:
    named = {d.check for d in broken.DEFECTS}
    assert {n.split(".")[0] for n in named} == set(FAMILIES)
    assert named <= {c.name for c in CHECKS}
    assert {c.name for c in CHECKS} == named, "a check that no planted defect needs is idle"
    assert len(broken.DEFECTS) >= 40 and len(unusual.REGISTER) >= 8
    assert len({d.name for d in broken.DEFECTS}) == len(broken.DEFECTS)
    assert all(d.source and d.summary for d in broken.DEFECTS)
    assert len(zoo_names()) == len(broken.DEFECTS) + len(unusual.REGISTER)


@pytest.mark.parametrize("name", ["custom.reference", "custom.torch", "torch.Dropout2d"])
def test_what_is_registered_passes_float32(name: str) -> None:
    result = dropcheck.audit(name, dtypes=("float32",), in_process=True, jobs=1)
    assert result.verdict == "pass", [(f.check, f.message) for f in result.targets[0].findings if f.verdict != "pass"]
