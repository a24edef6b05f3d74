"""A result in Python: short to show, its failures at hand, and the same record as before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import dropcheck
from dropcheck.report.python_result import AuditResult
from dropcheck.results import audit as results
from dropcheck.results.audit import Result


@pytest.fixture
def failing() -> AuditResult:
    return AuditResult.of(a_result("fail"))


def a_result(verdict: str) -> Result:
    from dropcheck.results.audit import Finding, TargetResult, Timing

    findings = [
        Finding(check="rate.one", case="exact", verdict=verdict, message="rate 1 gives NaN"),  # type: ignore[arg-type]
        Finding(
            check="mask.distinct-calls", case="float32 rate=0.3 3,3,3", verdict=verdict, message="call 1 <repeats>"
        ),  # type: ignore[arg-type]
    ]
    target = TargetResult(
        target="<b>.py:Layer",
        framework="torch",
        version="2",
        contract={},
        verdict=verdict,  # type: ignore[arg-type]
        timing=Timing(),
        traits={},
        findings=findings * 100,
    )
    return Result(
        verdict=verdict,  # type: ignore[arg-type]
        environment={},
        argv=[],
        profile="quick",
        seed=1,
        alpha=1e-6,
        beta=1e-6,
        targets=[target],
    )


def test_it_is_a_result_equal_to_and_stored_as_the_plain_one(failing: AuditResult, tmp_path: Path) -> None:
    plain = a_result("fail")
    assert isinstance(failing, Result)
    assert failing == plain and plain == failing and results.encode(failing) == results.encode(plain)
    assert failing != AuditResult.of(a_result("pass"))
    changed = msgspec.structs.replace(failing, seed=2)
    assert isinstance(changed, AuditResult) and changed != failing
    results.save(failing, tmp_path / "r.json")
    assert dropcheck.load(tmp_path / "r.json") == failing and results.schema() == msgspec.json.schema(Result)


def test_it_shows_in_a_line_prints_the_report_and_lists_causes_worst_first(failing: AuditResult) -> None:
    for shown in (repr(failing), repr(failing.targets[0]), repr(a_result("fail"))):
        assert "\n" not in shown and len(shown) <= 320 and "<b>.py:Layer" in shown
    assert "mask.distinct-calls" in str(failing) and "\n" in str(failing)
    assert [one.level for one in failing.failures] == ["defect", "edge"]
    assert failing.passed is False and AuditResult.of(a_result("pass")).passed is True
    assert AuditResult.of(a_result("pass")).failures == () and AuditResult.of(a_result("inconclusive")).passed is False


def test_a_notebook_shows_a_table_whose_texts_are_escaped(failing: AuditResult) -> None:
    html = failing._repr_html_()
    assert "<table" in html and "&lt;repeats&gt;" in html and "<b>.py" not in html and len(html) < 5000


def test_an_audit_returns_it_and_an_assertion_holds_it() -> None:
    from kits import layers_of_a_user as user

    few: dict[str, Any] = {"case": "float32 rate=0.3 64,32,3 calls=20", "causes": False}
    held = dropcheck.check(user.right, select="mask.whole-channels", **few)
    assert isinstance(held, AuditResult) and held.passed and held.failures == ()
    with pytest.raises(dropcheck.Broken) as told:
        dropcheck.check("broken.one-mask-per-batch", select="mask.distinct-samples", in_process=True, **few)
    assert isinstance(told.value.result, AuditResult)
    assert str(told.value).splitlines()[0] == told.value.result.failures[0].observed


def test_without_pytest_the_decorator_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['pytest'] = None\n"
        "import dropcheck\n"
        "try:\n    dropcheck.parametrize_with_checks\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("pip install pytest") and done.stdout.count("\n") == 1, done.stderr
