"""Scripts of failures of TensorFlow.js: each runs in Node.js with the package alone and shows its failure."""

from __future__ import annotations

from typing import Any

import pytest
from kits.node import tensorflow_js

from dropcheck.contract.errors import UsageError
from dropcheck.report import reproduction
from dropcheck.report.reproduction.javascript import BODIES
from dropcheck.results.audit import Finding, TargetResult, Timing


def failing(target: str, check: str) -> tuple[TargetResult, Finding]:
    """A failure as an audit stores it, as far as a script needs it."""
    from spatial_dropouts import tfjs

    base = target.partition("@")[0]
    found = Finding(check=check, case="float32 rate=0.5 8,64,3 calls=4", verdict="fail", message="as seen")
    contract = tfjs.REGISTER[base].contract
    assert not isinstance(contract, (str, type(None)))
    return TargetResult(
        target=target,
        framework="tfjs",
        version="4.22.0",
        contract=contract.to_dict(),
        verdict="fail",
        timing=Timing(),
        traits={},
        findings=[found],
    ), found


@pytest.mark.parametrize(
    "target, check, observed",
    [
        ("tfjs.spatialDropout1d-seed", "mask.distinct-calls", "1 distinct"),
        ("tfjs.dropout@wasm", "rate.one", "1536 elements are not 0"),
        ("tfjs.dropout-noiseShape", "rate.rejects-invalid", "no error for -0.1, 1.5, NaN"),
        ("tfjs.alphaDropout", "scale.kept-values", "becomes 2.3375816"),
        ("tfjs.gru#recurrent", "scale.kept-values", "values are neither"),
        ("tfjs.spatialDropout1d", "gradient.edges", "1536 of 1536 gradients are not 0"),
    ],
)
def test_a_script_shows_its_failure(target: str, check: str, observed: str) -> None:
    tensorflow_js()
    told = reproduction.confirm(*failing(target, check))
    assert isinstance(told, reproduction.Confirmed), told
    assert observed in told.observed


def test_a_layer_without_the_defect_is_not_confirmed() -> None:
    tensorflow_js()
    for target, check in (("tfjs.dropout", "mask.distinct-calls"), ("tfjs.dropout-op-seed", "rate.rejects-invalid")):
        told = reproduction.confirm(*failing(target, check))
        assert isinstance(told, reproduction.NotConfirmed) and told.ran, told


def test_a_check_without_a_script_is_said() -> None:
    target, found = failing("tfjs.dropout", "mask.lags")
    with pytest.raises(UsageError, match=f"expected one of {', '.join(BODIES)}"):
        reproduction.write(target, found)


def test_all_scripts_of_a_result_are_files_of_javascript(call: Any, tmp_path: Any) -> None:
    from dropcheck.results.audit import Result, encode

    target, _ = failing("tfjs.dropout", "rate.one")
    whole = Result(
        verdict="fail", environment={}, argv=[], profile="quick", seed=1, alpha=1e-6, beta=1e-6, targets=[target]
    )
    (tmp_path / "r.json").write_bytes(encode(whole))
    done = call("repro", "r.json", "--all", "--out", "scripts")
    assert done.code == 0
    assert [one.name for one in (tmp_path / "scripts").iterdir()] == ["001_tfjs.dropout_rate.one.js"]
