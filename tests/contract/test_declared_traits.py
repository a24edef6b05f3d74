"""What a contract, an implementation, a policy or a request can say is read by something: no field is accepted in vain."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import dropcheck
from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import PROMISES, Contract
from dropcheck.gate import policy
from dropcheck.plan.request import AuditRequest
from dropcheck.speed.run import BenchRequest

ROOT = Path(__file__).parents[2]
SOURCES = {
    place: place.read_text()
    for folder in ("suite/dropcheck", "implementations/spatial_dropouts")
    for place in (ROOT / folder).rglob("*.py")
}
POLICIES = [one for one in vars(policy).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]


def fields(kind: Any) -> list[str]:
    return [f.name for f in (msgspec.structs.fields(kind) if kind in POLICIES else dataclasses.fields(kind))]


@pytest.mark.parametrize("kind", [Contract, Implementation, AuditRequest, BenchRequest, *POLICIES])
def test_every_field_is_read_somewhere(kind: Any) -> None:
    text = "\n".join(SOURCES.values())
    read = (r"\.{}\b(?!\s*=[^=])", r"getattr\([^)]*\"{}\"", r"\[\"{}\"\]", r"get\(\"{}\"")
    in_vain = [name for name in fields(kind) if not any(re.search(one.format(name), text) for one in read)]
    assert fields(kind) and not in_vain


@pytest.mark.parametrize("word", PROMISES)
def test_every_declared_trait_is_read_by_a_check(word: str) -> None:
    assert any(f'"{word}" in' in text for place, text in SOURCES.items() if "checks" in place.parts)


LAYERS = """
import numpy as np
from dropcheck import Contract, Implementation, Pattern

def _drop(x, rate, rng):
    return x * (rng.random(x.shape[:2])[:, :, None] >= rate) / np.asarray(1 - rate, x.dtype)

def returns_its_input(x, rate, *, training, rng):
    return _drop(x, rate, rng) if training and rate else x

def returns_a_view(x, rate, *, training, rng):
    return _drop(x, rate, rng) if training else x[...]

def returns_a_copy(x, rate, *, training, rng):
    return _drop(x, rate, rng) if training and rate else x.copy()

declared = Contract(pattern=Pattern.parse("n c l -> n c"), promises=("fresh-output",))
same = Implementation(make=returns_its_input, contract=declared)
view = Implementation(make=returns_a_view, contract=declared)
copy = Implementation(make=returns_a_copy, contract=declared)
"""


def test_a_new_array_is_asked_for_where_the_contract_declares_one(tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(LAYERS)

    def failing(name: str) -> list[str]:
        target = f"{tmp_path / 'layers.py'}:{name}"
        result = dropcheck.audit(target, select="form.input-untouched", dtype="float32", in_process=True, causes=False)
        return [f"{one.check} {one.case}" for one in result.targets[0].findings if one.verdict == "fail"]

    check = "form.input-untouched float32 rate"
    assert failing("same") == [f"{check}=0.3 inference", f"{check}=0", f"{check}=0 inference"]
    assert failing("view") == [f"{check}=0.3 inference", f"{check}=0 inference"]
    assert not failing("copy") and not failing("returns_its_input")
