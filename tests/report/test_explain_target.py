"""``explain TARGET``: a fault stands in the first line, with no advice below it; a right layer has its use and its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dropcheck.plan import models
from dropcheck.plan.targets import parse
from dropcheck.report import explain_model

LAYERS = """
import torch
from torch import nn

class Good(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
    def mask(self, x):
        return torch.rand(*x.shape[:2], *[1] * (x.ndim - 2)) >= self.p
    def forward(self, x):
        return x * self.mask(x) / (1 - self.p) if self.training else x

class Frozen(Good):
    kept = None
    def mask(self, x):
        if self.kept is None or self.kept.shape[:2] != x.shape[:2]:
            self.kept = super().mask(x)
        return self.kept

class Never(Good):
    def mask(self, x):
        return 1 - self.p

class Unscaled(Good):
    def mask(self, x):
        return super().mask(x) * (1 - self.p)

class Active(Good):
    def forward(self, x):
        return x * self.mask(x) / (1 - self.p)

class OneMask(Good):
    def mask(self, x):
        return super().mask(x[:1])

class Half(Good):
    def mask(self, x):
        return torch.rand(*x.shape[:2], *[1] * (x.ndim - 2)) >= self.p / 2

class Swapped(Good):
    def forward(self, x):
        return x * ~self.mask(x) / self.p if self.training else x

class Raises(Good):
    def mask(self, x):
        raise RuntimeError("no such thing")

stages = nn.Sequential(*[one(0.3) for one in (Good, Frozen, Never, Unscaled, Active, OneMask, Half)])
stages_input = torch.randn(6, 24, 20)
"""

FAULTS = {
    "Frozen": "its mask never changes between calls",
    "Never": "it never drops: nothing was dropped in",
    "Unscaled": "kept values are x * 1, expected x * 1.667: the scaling is missing",
    "Active": "it is active in inference",
    "OneMask": "one mask for the whole batch",
    "Half": "% at rate 0.4 (40 % expected)",
    "Swapped": "keep and drop are swapped",
}


@pytest.fixture
def layers(tmp_path: Path) -> str:
    (tmp_path / "layers.py").write_text(LAYERS)
    return "layers.py"


def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers run in this process, which has imported their framework."""
    from dropcheck.plan import observed_masks, opening

    monkeypatch.setattr(
        observed_masks, "spec_of", lambda *given, **more: opening.spec_of(*given, in_process=True, **more)
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_stands_first_and_no_advice_below_it(
    call: Any, layers: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(monkeypatch)
    done = call("explain", f"{layers}:{name}", "--check", COLUMNS="120")
    first = done.out.splitlines()[0]
    assert done.code == 1 and first.startswith(f"✗ layers.py:{name} (torch ") and FAULTS[name] in first
    assert done.out.count("✗") == 1, "one fault is told once, and as one"
    assert "Use it where" not in done.out and "Its contract" not in done.out
    assert done.out.rstrip().endswith(f"how to fix it:  dropcheck audit layers.py:{name}")


def test_without_check_it_is_an_explanation_and_a_right_layer_has_its_use(
    call: Any, layers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(monkeypatch)
    assert call("explain", f"{layers}:Frozen").code == 0
    done = call("explain", f"{layers}:Good", "--check")
    assert done.code == 0 and "✗" not in done.out and done.out.startswith("layers.py:Good   torch ")
    for words in (
        "Use it where neighbouring positions along l are correlated",
        "seeding: global seed",
        "To verify this",
    ):
        assert words in done.out
    assert max(map(len, done.out.splitlines())) <= 110


def test_what_an_instrument_shows_has_a_contract_and_no_advice_where_to_use_it(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(monkeypatch)
    done = call("explain", "torch.LSTM#between", "--check")
    assert done.code == 0 and "Its contract" in done.out and "Use it where" not in done.out


def test_a_pattern_that_was_given_is_a_fault_where_it_is_not_followed(
    call: Any, layers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(monkeypatch)
    done = call("explain", f"{layers}:Good", "--check", "--pattern", "n l c -> n c", COLUMNS="140")
    assert done.code == 1
    assert "its drop decisions vary along l and its drop decisions do not vary along c" in done.out.splitlines()[0]


def test_a_layer_that_runs_on_no_input_is_a_sentence_with_the_way_out(
    call: Any, layers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(monkeypatch)
    done = call("explain", f"{layers}:Raises")
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "no such thing" in done.err and "--pattern 'n c l -> n c'" in done.err
    missing = call("explain", "layerz.py:Good")
    assert missing.code == 2 and "there is no file layerz.py; the nearest is 'layers.py'" in missing.err


def test_the_rows_of_a_model_are_marked_by_everything_that_is_wrong(layers: str, tmp_path: Path) -> None:
    found = models.look(parse(f"{tmp_path}/{layers}:stages"), in_process=True)
    assert found is not None
    told = {one.kind: "; ".join(one.faults) for one in found.layers}
    assert told.pop("Good") == ""
    for kind, words in told.items():
        expected = FAULTS[kind].replace("1.667", "1.429").replace("0.4 (40", "0.3 (30")
        assert expected in words and ";" not in words, kind
    text = explain_model.text(found, 120)
    assert text.startswith("✗ ") and "6 of their uses are wrong.\n" in text
    rows = [line.split()[1:3] for line in text.splitlines() if line.startswith("✗ ")][1:]
    assert [kind for _, kind in rows] == [*told] and found.wrong
