"""Which stored results are evidence: of this very target, file, mode and environment, asked for everything that counts."""

from __future__ import annotations

import msgspec
import pytest
from gate_kit import TARGET, audit, failing, gate, lines

from dropcheck.gate.evidence import of_target

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
    assert made.exit_code == 3 and "which layers were to come" in lines(made, "missing")[0].message
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
