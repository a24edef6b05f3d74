"""Instruments of Keras layers on each backend: they are exact, and a quick, narrow audit of each gives the known verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import dropcheck
from spatial_dropouts.instruments import keras_targets

pytestmark = [
    pytest.mark.keras,
    pytest.mark.workers("keras"),
    # found, not imported: each process of the tests collects them
    pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed"),
]

CHECKS = ("mask.whole-channels", "mask.distinct-samples", "mask.distinct-calls", "scale.kept-values",
          "gradient.mask", "gradient.scale", "mode.inference", "rate.one", "mask.ignores-values")  # fmt: skip
BACKENDS = [b for b in ("tensorflow", "jax", "torch") if find_spec(b)]

# what fails in Keras 3.15, by target; everything else passes. All recurrent layers draw their masks in inference, too
KEPT = "rate.one"  # at rate 1 nothing is dropped
KNOWN: dict[str, set[str]] = {
    "keras.GRU#input-beside-recurrent_dropout": {"mask.whole-channels", KEPT},  # one mask a gate
    "keras.LSTM#input-beside-recurrent_dropout": {"mask.whole-channels", KEPT},
    "keras.GRU#recurrent": {KEPT},
    "keras.LSTM#recurrent": {KEPT},
    "keras.ConvLSTM1D#input": {KEPT},
    "keras.ConvLSTM2D#input": {KEPT},
    "keras.StackedRNNCells#input": {KEPT},
    "keras.StackedRNNCells#input-of-one-seed": {KEPT, "mask.distinct-samples"},
    "keras.Bidirectional#input-of-one-seed": {"mask.distinct-samples"},
    "keras.GRU#input@tensorflow": {KEPT},
}


def known(name: str, backend: str) -> set[str]:
    """The checks that fail."""
    inference = set() if name.endswith(("#weights", "#dropout")) else {"mode.inference"}
    return inference | KNOWN.get(name, set()) | KNOWN.get(f"{name}@{backend}", set())


def verdicts(name: str, *select: str, dtypes: str = "float32", rate: float = 0.3) -> dict[str, str]:
    """Check -> its worst verdict in a narrow audit."""
    pattern = keras_targets.REGISTER[name.rpartition("@")[0]].contract.pattern  # type: ignore[union-attr]
    shape = pattern.shape(64, 64, 2)
    rows, channels = pattern.matrix_shape(shape)
    case = f"{dtypes} rate={rate:g} {rows},{channels},{pattern.shared_size(shape)} calls=16"
    result = dropcheck.audit(name, select=select, cases=(case,), dtype=dtypes, jobs=1, causes=False)
    (target,) = result.targets
    assert target.error is None and target.skipped is None, target.error or target.skipped
    order = ("error", "fail", "inconclusive", "pass", "skipped")
    found: dict[str, str] = {}
    for one in target.findings:
        found[one.check] = min(found.get(one.check, "skipped"), one.verdict, key=order.index)
    return found


# all targets on one backend, and on the others one of each kind: there every shape is compiled anew
ELSEWHERE = ("keras.MultiHeadAttention#weights", "keras.GRU#input", "keras.LSTM#recurrent")
TARGETS = [(name, "torch") for name in sorted(keras_targets.REGISTER)]
OTHERS = [(name, backend) for name in ELSEWHERE for backend in ("jax", "tensorflow")]


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        pytest.param(*one, marks=[pytest.mark.long] if one in OTHERS else [])
        for one in TARGETS + OTHERS
        if one[1] in BACKENDS
    ],
)
def test_a_narrow_audit_gives_the_known_verdict(name: str, backend: str) -> None:
    found = verdicts(f"{name}@{backend}", *CHECKS)
    fixed = "pass" if keras_targets.REGISTER[name].adapter is None else "skipped"  # by the instrument's own input
    assert found.pop("mask.ignores-values") == fixed
    assert {check for check, verdict in found.items() if verdict == "fail"} == known(name, backend)
    assert not {check for check, verdict in found.items() if verdict in ("error", "inconclusive")}


@pytest.mark.parametrize("name", sorted(keras_targets.REGISTER))
def test_scripts_of_failures_hold_the_whole_instrument(name: str) -> None:
    from dropcheck.report.reproduction.layer import layer_of

    layer = layer_of(f"{name}@torch", "keras@torch", "constructor", False)
    assert "spatial_dropouts" not in layer.imports and "dtype=DTYPE" in layer.make
    assert f"class {layer.thing}(" in layer.imports or f"def {layer.thing}(" in layer.imports
    compile(layer.imports, name, "exec")


# what a planted defect fails; the right twins fail nothing
PLANTED = {
    "Attention": [],
    "OneMaskForAllHeads": ["mask.distinct-samples"],
    "OneMaskForTheBatch": ["mask.distinct-samples"],
    "NotRescaled": ["scale.kept-values"],
    "DroppedInInference": ["mode.inference"],
    "RateOneIgnored": ["rate.one"],
    "Carried": [],
    "RenewedAtEveryStep": ["mask.whole-channels"],
    "GatesEqual": ["mask.distinct-samples"],
    "MaskNotRescaled": ["scale.kept-values"],
    "OneStateMaskForTheBatch": ["mask.distinct-samples"],
    "CarriedStateMasked": ["scale.kept-values"],
    "BothWays": [],
    "SecondDirectionCopiesTheFirst": ["mask.distinct-samples"],
}


@pytest.mark.long  # half a minute of processor time
@pytest.mark.skipif(find_spec("torch") is None, reason="the backend is not installed")
def test_planted_defects_are_caught_by_name_and_their_right_twins_pass() -> None:
    """All of them in one process, whose backend is another than that of this one."""
    kit = Path(__file__).parents[1] / "kits" / "planted_keras_sites.py"
    done = subprocess.run(
        [sys.executable, kit], env={**os.environ, "KERAS_BACKEND": "torch"}, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"backend": "torch", "failing": PLANTED}
