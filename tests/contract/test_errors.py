"""The nearest valid word: offered where it may be meant, and not where nothing is near."""

from __future__ import annotations

import pytest

from dropcheck.contract.errors import nearest


@pytest.mark.parametrize(
    ("word", "valid", "near"),
    [
        ("quik", ["quick", "standard"], "quick"),
        ("TORCH.dropout1d", ["torch.Dropout1d", "torch.Dropout2d"], "torch.Dropout1d"),
        ("drop", ["dropped-coins-of-every-kind", "eager"], "dropped-coins-of-every-kind"),
        ("god", ["good", "bad"], "good"),
    ],
)
def test_a_near_word_is_offered(word: str, valid: list[str], near: str) -> None:
    assert nearest(word, valid) == f"; the nearest is {near!r}"


@pytest.mark.parametrize(("word", "valid"), [("zebra", ["quick", "standard"]), ("x", ["xla"]), ("", ["a"]), ("a", [])])
def test_a_far_word_has_no_nearest(word: str, valid: list[str]) -> None:
    assert nearest(word, valid) == ""
