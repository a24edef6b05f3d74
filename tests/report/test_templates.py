"""The filters of templates: sentences begin with a capital letter, backticks are code, names break where they may."""

from __future__ import annotations

from dropcheck.report.templates import breakable, capital, ticks


def test_a_sentence_begins_with_a_capital_letter_and_a_name_of_code_stays() -> None:
    assert capital("kept values are multiplied by 1") == "Kept values are multiplied by 1"
    assert capital("rate=1.5 was accepted") == "rate=1.5 was accepted"
    assert capital("mask.patterns fails") == "mask.patterns fails"
    assert capital("") == ""


def test_backticks_are_code_and_everything_else_is_escaped() -> None:
    assert ticks("write `a < b` & go") == "write <code>a &lt; b</code> &amp; go"
    assert ticks("one ` alone <b>") == "one ` alone &lt;b&gt;"
    assert ticks("`<img>`") == "<code>&lt;img&gt;</code>"


def test_a_name_breaks_after_dots_and_colons_and_before_its_mode() -> None:
    assert breakable("layers.py:Good") == "layers.py:<wbr>Good"
    assert breakable("torch.Dropout1d@compile") == "torch.<wbr>Dropout1d<wbr>@compile"
    assert breakable("<b>") == "&lt;b&gt;"
