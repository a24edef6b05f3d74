"""Scripts of rows that lose an exact number of channels, or one stretch: each shows its failure, and none of a right layer."""

from __future__ import annotations

from pathlib import Path

import pytest
from kits.script import failed, run_here

from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.report.reproduction import row_bodies, write
from dropcheck.results.audit import Finding
from spatial_dropouts import broken, unusual

CASES = {"c=2": "rows 100x8x2 in 120 calls", "c=rate": "rows 40x20x2 in 120 calls", "c/*": "rows 40x40x2 in 120 calls"}
SHOWN = [
    ("exact-with-replacement", "mask.dropped-count", "1 in 0.03"),
    ("exact-never-last", "rate.per-channel", "channel 7 in 0.0000 of"),
    ("exact-neighbours", "mask.independent-channels", " in 0.1"),
    ("exact-one-choice", "mask.independent-samples", "lose channels in common"),
    ("exact-pairs-alike", "mask.independent-samples", "samples 1 apart"),
    ("exact-always", "rate.marginal", "rows that drop a channel is 1.0000"),
    ("share-by-coins", "mask.dropped-count", "rows lose another number"),
    ("stretch-short", "mask.dropped-count", "0 of 4800 rows lose another number; 12 in 0.00"),
    ("stretch-too-long", "mask.dropped-count", "13 in 0.07"),
    ("stretch-never-last", "rate.per-channel", "one ends at channel 39 in 0.0000"),
    ("stretch-wraps-round", "mask.whole-channels", "rows lose more than one stretch"),
    ("stretch-one-a-batch", "mask.independent-samples", "are alike: 1.0000"),
]
TWO = Contract(pattern=Pattern.parse("n c l -> n c=2"), scale="none", seeds=("generator",))


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer right rows: what is planted here needs no more."""
    monkeypatch.setattr(row_bodies, "_ELEMENTS", 1_000_000)


def contract_of(register: object, name: str) -> Contract:
    contract = register[name].contract  # type: ignore[index]
    assert isinstance(contract, Contract)
    return contract


def case_of(contract: Contract) -> str:
    word = str(contract.pattern).rpartition(" ")[2]
    return f"float32 rate=0.3 {CASES[word]}"


@pytest.mark.parametrize(("name", "check", "observed"), SHOWN)
def test_a_planted_defect_is_shown_and_its_control_is_right(
    name: str, check: str, observed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = contract_of(broken.REGISTER, f"broken.{name}")
    owner, found = failed(f"broken.{name}", "numpy", contract, check, case_of(contract), "as seen")
    status, said = run_here(write(owner, found), tmp_path, monkeypatch)
    assert status == 1 and observed in said, said


@pytest.mark.parametrize("name", ["exactly-two", "exact-share", "stretch", "stretch-paper", "stretch-real"])
def test_a_right_layer_shows_none_of_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each script tells a right layer wrong with probability below 10^-8."""
    contract = contract_of(unusual.REGISTER, f"unusual.{name}")
    for check in row_bodies.BODIES:
        owner, found = failed(f"unusual.{name}", "numpy", contract, check, case_of(contract), "as seen")
        status, said = run_here(write(owner, found), tmp_path, monkeypatch)
        assert status == 0, (check, said)


LAYERS = """
import numpy as np
import torch
from spatial_dropouts.broken.rows import Rows, chosen


class Frozen(Rows):
    made = None

    def mask(self, x, rng):
        self.made = super().mask(x, rng) if self.made is None or len(self.made) != len(x) else self.made
        return self.made


class Again(Rows):  # the second half of a call repeats the first
    def mask(self, x, rng):
        made = super().mask(x, rng)
        made[len(made) // 2:] = made[: len(made) // 2]
        return made


class CallsAlike(Rows):  # every second call has the mask of the one before where that drops
    before = None

    def mask(self, x, rng):
        made = super().mask(x, rng)
        if self.before is not None and len(self.before) == len(made):
            made, self.before = np.where(self.before.any(axis=1)[:, None], self.before, made), None
        else:
            self.before = made
        return made


class FirstOften(Rows):
    def falls(self, rows, rng):
        return super().falls(rows, rng) | ((np.arange(rows) == 0) & (rng.random(rows) < 0.7))


class Split(Rows):
    def drop(self, x, mask):
        y = super().drop(x, mask)
        y[::9, :, 0] = x[::9, :, 0]
        return y


class Wrong(torch.nn.Module):  # three channels of a sample
    number = 3

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        order = torch.rand(x.shape[:2]).argsort(dim=1)
        gone = (order < self.number) & (torch.rand(len(x), 1) < self.p)
        return torch.where(gone[:, :, None], 0.0, x)


class Right(Wrong):
    number = 2
"""


@pytest.mark.parametrize(
    ("layer", "check", "observed"),
    [
        ("Frozen", "mask.distinct-calls", "rows occur twice: those from row"),
        ("Again", "mask.distinct-samples", "rows occur twice: those from row"),
        ("CallsAlike", "mask.independent-calls", "calls 1 apart"),
        ("FirstOften", "rate.per-sample", "sample 0 drops in"),
        ("Split", "mask.whole-channels", "decisions of 12000 rows are dropped in part only"),
    ],
)
def test_what_no_planted_layer_fails_is_shown_as_well(
    layer: str, check: str, observed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows_of_mine.py"
    file.write_text(LAYERS)
    case = "float32 rate=0.3 rows 400x8x2 in 12 calls" if check == "mask.distinct-samples" else case_of(TWO)
    status, said = run_here(write(*failed(f"{file}:{layer}", "numpy", TWO, check, case, "x")), tmp_path, monkeypatch)
    assert status == 1 and observed in said, said


@pytest.mark.parametrize(("layer", "status"), [("Wrong", 1), ("Right", 0)])
def test_layers_of_pytorch_have_such_scripts(
    layer: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows_of_mine.py"
    file.write_text(LAYERS)
    contract = Contract(pattern=Pattern.parse("n c l -> n c=2"), scale="none")
    owner, found = failed(f"{file}:{layer}", "torch", contract, "mask.dropped-count", case_of(contract), "x")
    ended, said = run_here(write(owner, found), tmp_path, monkeypatch)
    assert ended == status, said


def test_other_questions_of_such_a_layer_have_a_control_that_drops_by_its_law() -> None:
    owner, found = failed("broken.exact-always", "numpy", TWO, "form.input-untouched", "float32 rate=0.3", "x")
    assert "coins = by_law(GENERATOR, x.shape, self.rate)" in write(owner, found)


@pytest.mark.parametrize(
    ("name", "framework", "check", "words"),
    [
        ("broken.exact-always", "numpy", "rate.one", "there is no script for rate.one of a layer that drops an exact"),
        ("torch.Dropout1d@compiled", "torch", "rate.marginal", "torch in mode compiled of a layer that drops an exact"),
        ("mlx.Dropout2d", "mlx", "rate.marginal", "expected eager calls of numpy or torch"),
    ],
)
def test_what_has_no_script_has_its_sentence(name: str, framework: str, check: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write(*failed(name, framework, TWO, check, case_of(TWO), "x"))


def test_a_script_makes_as_many_calls_as_show_what_the_audit_saw() -> None:
    """Evidence of 10^-8 is 6 standard deviations: four times the calls have 12."""
    found = Finding(check="mask.dropped-count", case="x", verdict="fail", message="x", log10_evidence=-8.0)
    assert 3.8 < row_bodies.calls(found, 100) / 100 < 4.2
    assert (
        row_bodies.calls(Finding(check="x", case="x", verdict="fail", message="x", log10_evidence=-99999.0), 100) == 100
    )
