"""The table of a notebook: worst first, one row a cause, names that would do harm are text."""

from __future__ import annotations

import re

from kits.page import drawn, everything, finding, hostile, result, target

from dropcheck.judge.diagnosis import diagnose
from dropcheck.report import notebook


def test_the_table_has_one_row_a_cause_worst_first() -> None:
    text = notebook.table(result([target("a.Layer", [finding("rate.one", "fail"), finding("scale.mean", "fail")])]))
    assert re.findall(r"<tr><td>(\S+ \w+)</td>", text) == ["✗ defect", "~ edge"]
    assert "what was seen of scale.mean" in text and "a.Layer" in text
    assert "1 / (1 - rate)" in text or "rate 1" in text  # the remedy


def test_a_result_without_failures_is_its_sentence() -> None:
    text = notebook.table(result([target("good.Layer", [f for f in drawn() if f.verdict == "pass"])]))
    assert "<table" not in text and "good.Layer" in text


def test_names_that_would_do_harm_are_text_and_long_tables_end() -> None:
    text = notebook.table(hostile(), most=3)
    assert not re.search(r"<(script|img|b)\b", text) and text.count("<tr>") == 4
    assert re.search(r"And \d+ more\.", text)
    assert notebook.table(everything()).count("<tr>") == 1 + sum(
        len(diagnose(target)) for target in everything().targets
    )
