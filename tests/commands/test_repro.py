"""``dropcheck repro RESULT`` lists causes, worst first, and says how to get a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dropcheck.results import audit as results
from dropcheck.results.audit import Finding, Result, TargetResult, Timing


def stored(path: Path) -> Path:
    edges = [
        Finding(check="rate.one", case=f"float{n} rate=1", verdict="fail", message="rate 1 gives NaN") for n in (32, 64)
    ]
    masks = [
        Finding(check="mask.distinct-calls", case=f"float32 rate=0.{n} 3,3,3", verdict="fail", message="call 1 repeats")
        for n in range(3, 9)
    ]
    target = TargetResult(
        target="layers.py:Frozen",
        framework="torch",
        version="2",
        contract={},
        verdict="fail",
        timing=Timing(),
        traits={},
        findings=[*edges, *masks],
    )
    result = Result(
        verdict="fail", environment={}, argv=[], profile="quick", seed=1, alpha=1e-6, beta=1e-6, targets=[target]
    )
    results.save(result, path)
    return path


def test_one_line_a_cause_worst_first_with_the_number_of_its_plainest_failure(call: Any, tmp_path: Path) -> None:
    stored(tmp_path / "r.json")
    done = call("repro", "r.json")
    lines = done.out.splitlines()
    assert done.code == 0 and max(map(len, lines)) <= 100
    assert lines[0] == "1 defect" and "layers.py:Frozen  mask.distinct-calls:" in lines[1]
    number = int(lines[1].partition("#")[2].split()[0])
    assert 3 <= number <= 8 and f"One script:   dropcheck repro r.json#{number}" in lines
    assert done.out.index("1 edge case") > done.out.index("mask.distinct-calls")
    assert "8 failures, 2 causes." in lines and sum("r.json#" in line for line in lines) == 3


def test_the_cases_of_a_check_are_listed_where_it_is_named(call: Any, tmp_path: Path) -> None:
    stored(tmp_path / "r.json")
    done = call("repro", "r.json", "layers.py:Frozen", "mask.distinct-calls")
    assert done.out.count("mask.distinct-calls") == 6 and "6 failures. One script: dropcheck repro r.json#3" in done.out
