"""Which stored results are evidence: of this very target, file, mode and environment, asked for everything that counts."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kits.gate import TARGET, audit, failing, finding, gate, lines

from dropcheck.gate.evidence import decode, device_of, load, of_target
from dropcheck.plan.request import AuditRequest, asked
from dropcheck.results import audit as results
from dropcheck.results.audit import ResultError

MODEL = "net.py:model"
NAMED = f'targets = ["{MODEL}"]\n'


@pytest.mark.parametrize(
    ("found", "same"),
    [
        ("net.py:model", True),
        ("net.py:model#encoder.drop", True),
        ("net.py:model#encoder.drop@compiled", False),
        ("net.py:model#encoder.drop with torch==2.4.1", False),
        ("net.py:model@compiled", False),
        ("net.py:model2#encoder.drop", False),
    ],
)
def test_a_layer_in_another_mode_or_environment_is_another_target(found: str, same: bool) -> None:
    assert of_target(MODEL, found) is same
    assert gate(audit(target=found, argv=["audit", found.replace("#encoder.drop", "")]), toml=NAMED).exit_code == (
        0 if same else 3
    )


@pytest.mark.parametrize("words", ["@compiled", " with torch==2.4.1", "@compiled with torch==2.4.1"])
def test_layers_of_a_model_in_a_mode_or_an_environment_are_found(words: str) -> None:
    assert of_target(MODEL + words, "net.py:model#encoder.drop" + words)
    assert not of_target(MODEL + words, "net.py:model#encoder.drop")


def test_a_layer_is_held_against_the_file_of_its_model() -> None:
    layer = audit(target=MODEL + "#drop", source="aaaa", argv=["audit", MODEL])
    assert gate(layer, toml=NAMED, sources={MODEL: "aaaa"}).exit_code == 0
    made = gate(layer, toml=NAMED, sources={MODEL: "bbbb"})
    assert made.exit_code == 3 and "has changed since" in lines(made, "missing")[0].message


def test_a_layer_is_held_against_the_pattern_of_its_model() -> None:
    layer = audit(target=MODEL + "#drop", argv=["audit", MODEL])
    one = msgspec.structs.replace(layer.targets[0], contract={"pattern": "n c l -> n c"})
    layer = msgspec.structs.replace(layer, targets=[one])
    wanted = '[patterns]\n"net.py:model" = "{}"\n'
    assert gate(layer, toml=NAMED + wanted.format("n c l -> n c")).exit_code == 0
    assert gate(layer, toml=NAMED + wanted.format("n c l -> n l")).exit_code == 3


def test_an_interrupted_audit_of_a_model_is_no_evidence_but_its_failures_are() -> None:
    words = {"target": MODEL + "#drop", "argv": ["audit", MODEL], "interrupted": True}
    made = gate(audit(**words), toml=NAMED)
    assert made.exit_code == 3 and "still to come are unknown" in lines(made, "missing")[0].message
    assert gate(failing(**words), toml=NAMED).exit_code == 1


def test_an_audit_of_one_layer_is_no_evidence_for_its_model() -> None:
    one = audit(target=MODEL + "#drop")
    assert gate(one, toml=NAMED).exit_code == 3
    assert gate(one, toml=f'targets = ["{MODEL}#drop"]\n').exit_code == 0


def test_a_file_that_cannot_be_read_and_a_result_that_names_no_file_are_no_evidence() -> None:
    made = gate(audit(source="aaaa"), sources={TARGET: None})
    assert made.exit_code == 3 and "cannot be read here" in lines(made, "missing")[0].message
    made = gate(audit(), sources={TARGET: "aaaa"})
    assert made.exit_code == 3 and "from which file" in lines(made, "missing")[0].message
    assert gate(audit(), sources={TARGET: ""}).exit_code == 0


def by_library(result: results.Result, **options: Any) -> results.Result:
    """An audit that no command line made; nothing of its own says what it was asked but ``asked``."""
    words = asked(AuditRequest(**options)) if options else None
    return msgspec.structs.replace(result, argv=[], asked=words)


def test_an_audit_by_the_library_says_what_narrows_it() -> None:
    assert gate(by_library(audit(), device="cpu")).exit_code == 0
    for options in (
        {"cases": ("x",)},
        {"rates": (0.3,)},
        {"shapes": ((2, 3),)},
        {"budget_s": 1.0},
        {"resolution": 0.1},
    ):
        made = gate(by_library(audit(), **options))
        assert made.exit_code == 3 and "was narrowed by" in lines(made, "missing")[0].message
        assert gate(by_library(failing(), **options)).exit_code == 1
    assert gate(by_library(audit(), dtypes=("float32",))).exit_code == 3
    assert gate(by_library(audit(), pattern="n c l -> n c l")).exit_code == 3
    assert gate(by_library(audit(), strict=True), toml=f'targets = ["{TARGET}"]\ntraits = true\n').exit_code == 0


def test_an_audit_that_does_not_say_what_it_was_asked_is_no_evidence() -> None:
    made = gate(by_library(audit()))
    assert made.exit_code == 3 and "may be narrowed" in lines(made, "missing")[0].message
    assert gate(by_library(failing())).exit_code == 1


def test_the_last_device_counts_as_on_the_command_line() -> None:
    result = audit(argv=["audit", TARGET, "--device", "cuda", "--device=cpu"])
    assert device_of(result, result.targets[0]) == "cpu"
    result = by_library(audit(), device="cuda")
    assert device_of(result, result.targets[0]) == "cuda"
    assert gate(result).exit_code == 3


def test_a_required_dtype_in_which_nothing_was_judged_is_missing() -> None:
    toml = f'targets = ["{TARGET}"]\ndtypes = ["float32", "float16"]\n'
    made = gate(audit(), toml=toml)
    assert made.exit_code == 3 and "judged in float16" in lines(made, "missing")[0].message
    assert gate(audit(finding("rate.marginal", case="float16 rate=0.3 5,5,5")), toml=toml).exit_code == 0


@pytest.mark.parametrize("name", ["numpy", "NumPy"])
def test_names_of_releases_are_compared_without_case(name: str) -> None:
    toml = f'targets = ["{TARGET}"]\n[releases]\n{name} = ">=2"\n'
    assert gate(audit(version="2.1.0"), toml=toml).exit_code == 0
    assert gate(audit(version="1.9.0"), toml=toml).exit_code == 3


def test_a_release_that_no_evidence_is_of_is_missing_with_the_nearest_name() -> None:
    made = gate(audit(version="2.1.0"), toml=f'targets = ["{TARGET}"]\n[releases]\nnumpi = ">=2"\n')
    assert made.exit_code == 3
    assert lines(made, "missing")[0].message == "no evidence is of numpi; the nearest is 'numpy'"


def test_a_result_without_a_level_and_a_skipped_target_that_fails_are_damage() -> None:
    for field in ("alpha", "beta"):
        for value in (0.0, 1.0, -1.0):
            with pytest.raises(ResultError, match=f"its {field} must lie between 0 and 1"):
                decode(results.encode(msgspec.structs.replace(audit(), **{field: value})), "r.json")
    bad = failing()
    one = msgspec.structs.replace(bad.targets[0], skipped="not here")
    with pytest.raises(ResultError, match="it is skipped, though results of it fail"):
        decode(results.encode(msgspec.structs.replace(bad, targets=[one])), "r.json")


def test_evidence_may_be_compressed_or_lie_in_a_folder(tmp_path: Path) -> None:
    data = results.encode(audit())
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(data))
    (tmp_path / "b.xz").write_bytes(lzma.compress(data))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_bytes(data)
    found = load([tmp_path / "a.json.gz", tmp_path / "b.xz", tmp_path / "out"])
    assert [one.targets[0].target for _, one in found.audits] == [TARGET] * 3
