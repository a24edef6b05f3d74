"""What a stored audit was asked: its own fields, and the one reader of command lines for results that lack them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from kits.gate import TARGET, audit, gate, lines

from dropcheck.auditing import replay
from dropcheck.gate.evidence import device_of
from dropcheck.plan.request import AuditRequest, recorded
from dropcheck.plan.request import asked as words_asked
from dropcheck.results import asked, naming, reading
from dropcheck.results.audit import Request, Result, decode, encode, merged

REPORTS = Path(__file__).parents[2] / "reports"
# (device asked for, device as the machine's words tell it, device of the gate) of every stored audit
STORED = {
    "field/result.json.xz": ("cpu", "", "cpu"),
    "gpu/field/result.json.xz": ("cuda", "cuda", "cuda"),
    "gallery/releases/keras-3.5.0.json.xz": ("", "", "cpu"),
    "gallery/releases/keras-3.15.1.json.xz": ("", "", "cpu"),
    "pytorch-keras/result.json.gz": ("", "", "cpu"),
}
MODEL = "net.py:model"


LONG = {
    "field/result.json.xz"
}  # 6 s: the others are read by `make test`, and results of this release by most of its tests


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] * (n in LONG)) for n in sorted(STORED)])
def test_stored_results_are_read_as_they_always_were(name: str) -> None:
    if not (REPORTS / name).is_file():
        pytest.skip("a source distribution has no results of a whole field")
    found = reading.load(REPORTS / name)
    assert isinstance(found, Result)
    wanted, machine, device = STORED[name]
    assert asked.device(found) == wanted
    assert ("device " + machine in reading.machine(found)) if machine else ("device" not in reading.machine(found))
    assert {device_of(found, one) for one in found.targets} == {device}
    assert {asked.device_of_finding(f) for one in found.targets for f in one.findings} == {device}
    told = asked.of(found)
    assert told.told and not told.pattern and not told.dtypes and not told.strict
    assert not told.narrowed & {"--case", "--rate", "--shape", "--budget", "--resolution", "--input"}
    if not name.startswith("field/"):
        assert (found.device, found.request) == (None, None)  # an older release wrote neither


@pytest.mark.parametrize(
    ("command", "device"),
    [
        ("dropcheck audit a --device cuda", "cuda"),
        ("dropcheck audit a --device=cuda --select rate", "cuda"),
        ("dropcheck audit a --device cpu --device cuda", "cuda"),
        ("dropcheck audit a --pattern 'n c l -> n --device cuda' --seed 3", "cpu"),
        ("dropcheck audit a --case 'float32 --device=cuda'", "cpu"),
        ("dropcheck audit 'a b.py:--device' --device 'cuda'", "cuda"),
        ("dropcheck audit a --python --device cuda", "cpu"),  # the interpreter is called --device
        ("dropcheck audit a -- --device cuda", "cpu"),
        ("dropcheck audit a 'no end --device cuda", "cuda"),  # no shell takes it; its spaces part it
        ("dropcheck audit a --device", "cpu"),
        ("", "cpu"),
    ],
)
def test_a_command_is_read_as_a_shell_and_the_command_line_read_it(command: str, device: str) -> None:
    one = msgspec.structs.replace(audit().targets[0].findings[0], replay=command)
    assert asked.device_of_finding(one) == device
    assert (asked.option(asked.words_of(command), "--device") or "cpu") == device


def test_every_way_of_saying_an_option_is_read() -> None:
    names, found = asked.options(["audit", "a", "--dtype", "float32,float16", "--strict", "b", "--dtype=float64", "-v"])
    assert names == ["audit", "a", "b", "-v"]
    assert found == {"--dtype": ["float32,float16", "float64"], "--strict": []}
    told = asked.of(audit(argv=["audit", TARGET, "--dtype", "float32,float16", "--strict", "--dtype=float64"]))
    assert told.dtypes == ("float32", "float16", "float64") and told.strict and not told.device


def test_fields_and_words_say_the_same() -> None:
    request = AuditRequest(
        targets=(TARGET,),
        cases=("float32 rate=0.5 'x'",),
        rates=(0.25,),
        dtypes=("float32", "float16"),
        shapes=((2, 3),),
        input=(4, 5),
        pattern="n c l -> n c",
        budget_s=2.0,
        resolution=0.01,
        device="cuda",
        strict=True,
    )
    typed = audit(argv=["x"], device="cuda", request=recorded(request))
    words = audit(argv=["audit", TARGET], asked=words_asked(request))
    new, old = asked.of(typed), asked.of(words)
    narrowing = {"--case", "--rate", "--shape", "--budget", "--resolution", "--input"}
    assert new.narrowed == narrowing == old.narrowed & narrowing
    assert (new.device, new.dtypes, new.pattern, new.strict) == (old.device, old.dtypes, old.pattern, old.strict)
    assert asked.device(typed) == asked.device(words) == "cuda"
    assert asked.words_of(replay.command(request, TARGET, "rate", None)).count("--device") == 1
    assert decode(encode(typed), "typed") == typed


def test_the_gate_believes_the_fields() -> None:
    full = Request(targets=[TARGET])
    assert gate(audit(argv=[], device="cpu", request=full)).exit_code == 0
    made = gate(audit(argv=[], device="cpu", request=msgspec.structs.replace(full, rates=[0.3])))
    assert made.exit_code == 3 and "narrowed by --rate" in lines(made, "missing")[0].message
    assert gate(audit(argv=[], device="cuda", request=full)).exit_code == 3


@pytest.mark.parametrize("layer", [MODEL + "#drop", MODEL + "#drop@compiled", MODEL + "#drop with torch==2.4.1"])
def test_one_layer_of_a_model_is_no_evidence_for_the_model_whoever_asked(layer: str) -> None:
    toml = f'targets = ["{layer.replace("#drop", "")}"]\n'
    alone, whole = Request(targets=[MODEL + "#drop"]), Request(targets=[MODEL])
    assert gate(audit(target=layer, argv=[], device="cpu", request=whole), toml=toml).exit_code == 0
    made = gate(audit(target=layer, argv=[], device="cpu", request=alone), toml=toml)
    assert made.exit_code == 3 and "one layer of the model" in lines(made, "missing")[0].message


def test_results_of_several_devices_as_one_name_none() -> None:
    one, two = Request(targets=["a"]), Request(targets=["b"])
    here = audit(target="a", device="cpu", request=one)
    there = audit(target="b", device="cuda", request=two)
    both = merged([here, there])
    assert both.device is None and both.request == Request(targets=["a", "b"])
    narrow = audit(target="b", device="cpu", request=msgspec.structs.replace(two, rates=[0.5]))
    both = reading.together([here, narrow], ["1", "2"])
    assert both.device == "cpu" and both.request is None


@pytest.mark.parametrize(
    ("case", "lead", "dtype"),
    [
        ("float16 rate=0.5 3,4", "float16", "float16"),
        ("rate=-0.1", "rate=-0.1", ""),
        ("", "", ""),
        ("x float32", "x", ""),
    ],
)
def test_the_dtype_of_a_case_is_its_first_word(case: str, lead: str, dtype: str) -> None:
    one = msgspec.structs.replace(audit().targets[0].findings[0], case=case)
    assert naming.lead(case) == lead and naming.dtype_in(case) == dtype
    assert naming.dtype_of(one) == (dtype or naming.ANY)
