"""What ``dropcheck list`` shows: one short line a row, by framework, and only advice that can be followed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dropcheck.commands import listing
from dropcheck.contract import modes
from dropcheck.contract.adapter import EXTRAS, Implementation
from dropcheck.contract.register import register
from dropcheck.plan.targets import Listing

ROOT = Path(__file__).parents[2]
ROWS = [
    Listing("torch.Dropout1d", "torch", "n c l -> n c", "PyTorch's Dropout1d, channels first", True, ""),
    Listing("keras.Drop@jax", "keras", "n l c -> n c", "Keras' Drop, channels last", True, ""),
    Listing("keras.Drop@torch", "keras", "n l c -> n c", "Keras' Drop, channels last", True, ""),
    Listing("timm.A", "torch", "n c h w -> n", "timm's A", False, "timm is not installed: pip install timm"),
    Listing("timm.B", "torch", "n c h w -> n", "timm's B", False, "timm is not installed: pip install timm"),
]


def test_rows_stand_below_their_framework_and_what_cannot_run_is_counted() -> None:
    assert listing.text(ROWS, False, 80).splitlines() == [
        "PyTorch",
        "  torch.Dropout1d  n c l -> n c  Dropout1d, channels first",
        "",
        "Keras, on @jax or @torch",
        "  keras.Drop  n l c -> n c  Drop, channels last",
        "",
        "2 more cannot run here, as packages are missing: dropcheck list --all",
    ]


def test_the_name_of_an_instrument_says_the_layer_and_its_row_what_drops() -> None:
    summary = "PyTorch's scaled_dot_product_attention: dropout of attention weights"
    row = Listing("torch.sdpa#weights", "torch", "n h=4 q k=64 -> n h q k", summary, True, "")
    assert listing.text([row], False, 80).splitlines()[1].endswith("  dropout of attention weights")


def test_the_modes_of_instruments_stand_below_them_with_what_is_missing_and_why() -> None:
    rows = [
        Listing("torch.A#x", "torch", "n c -> n c", "PyTorch's A: x", True, "", modes="eager, jit"),
        Listing("torch.B#x", "torch", "n c -> n c", "PyTorch's B: x", True, "", modes="eager, jit"),
        Listing("torch.C#x", "torch", "n c -> n c", "PyTorch's C: x", True, "", modes="eager; not jit: why"),
    ]
    assert listing.text(rows, False, 80).splitlines()[-2:] == [
        "  modes of #sites: eager, jit",
        "  modes of torch.C#x: eager; not jit: why",
    ]


def test_a_mode_that_one_backend_has_not_is_named_there() -> None:
    withheld = {"jit": "nobody wrote it", "vmap@torch": "why"}
    assert modes.split("keras@jax", withheld) == (("mixed",), {"jit": "nobody wrote it"})
    assert modes.sentence("keras@torch", {"vmap@torch": "why"}) == "eager, mixed; not vmap: why"


def test_every_framework_of_the_register_has_a_heading() -> None:
    assert {entry.implementation.framework for entry in register().values()} <= set(listing._FRAMEWORKS)


def test_all_shows_what_cannot_run_with_each_reason_once() -> None:
    text = listing.text(ROWS, True, 80)
    assert "- timm.A           n c h w -> n  A" in text
    assert text.count("timm is not installed") == 1 and "the 2 of timm cannot run here" in text
    assert "more cannot run" not in text


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("words", [[], ["--all"], ["--zoo"], ["--checks"]])
def test_no_line_is_longer_than_the_terminal(call: Any, words: list[str], columns: int) -> None:
    for line in call("list", *words, COLUMNS=str(columns)).out.splitlines():
        assert len(line) <= columns, line


def test_an_extra_is_advised_only_where_the_distribution_has_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) <= set(project["optional-dependencies"])
    for name, entry in register().items():
        for module in entry.implementation.requires:
            advice = entry.implementation.missing(module)
            for extra in advice.split("dropcheck[")[1:]:
                assert extra.partition("]")[0] in project["optional-dependencies"], (name, advice)
    assert Implementation(make="a:B").missing("timm") == "timm is not installed: pip install timm"
