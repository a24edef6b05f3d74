"""Tables hold the numbers of the result, digit for digit, and no text of theirs is a formula."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import pandas
import pytest
from kits.stored import finding, rate, result, target

from dropcheck.contract.errors import UsageError
from dropcheck.report import tables

WHOLE = result(
    target("mine.py:bad", [rate(520_000, 1_579_008), finding("form.strides", "waived")]),
    target("mine.py:good", [rate(473_000, 1_579_008), finding("mode.toggle", "pass", message='fine, "quoted"; |')]),
)
NUMBERS = ["estimate", "expected", "fail_low", "fail_high", "pass_low", "pass_high", "resolution", "log10_evidence"]


def test_numbers_come_back_from_csv_and_parquet_digit_for_digit() -> None:
    table = tables.findings(WHOLE)
    from_csv = pandas.read_csv(io.BytesIO(tables.csv(table)), float_precision="round_trip", keep_default_na=True)
    from_parquet = pandas.read_parquet(io.BytesIO(tables.parquet(table)))
    stored = [f for t in WHOLE.targets for f in t.findings]
    for read in (from_csv, from_parquet):
        assert list(read["check"]) == [f.check for f in stored]
        assert list(read["coins"]) == [f.coins for f in stored]
        for name in NUMBERS:
            pandas.testing.assert_series_equal(read[name], table[name], check_exact=True)
        first = stored[0]
        assert read["estimate"][0] == first.estimate
        assert first.fail_interval is not None and read["fail_high"][0] == first.fail_interval[1]
    assert list(from_parquet["waiver_reason"]) == ["", "known upstream", "", ""]
    assert list(from_parquet["level"]) == ["defect", "defect", "", ""]


def test_times_have_one_row_a_target() -> None:
    table = tables.timings(WHOLE)
    assert list(table["target"]) == ["mine.py:bad", "mine.py:good"]
    assert list(table["wall_s"]) == [1.5, 1.5] and list(table["bare_s"]) == [0.25, 0.25]


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "|calc", "%0A=1"])
def test_no_text_is_a_formula(text: str) -> None:
    hostile = result(target(text, [finding("mode.toggle", "pass", message=text)]))
    read = pandas.read_csv(io.BytesIO(tables.csv(tables.findings(hostile))), dtype=str)
    for name in ("target", "message"):
        assert not read[name][0].startswith(tables.FORMULA), read[name][0]


def test_parquet_without_pyarrow_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else real(name, *rest)
    )
    with pytest.raises(UsageError, match=r"pip install 'dropcheck\[parquet\]'"):
        tables.parquet(tables.timings(WHOLE))


def test_an_empty_result_makes_empty_tables(tmp_path: Path) -> None:
    made = tables.write(result(), (), tmp_path, ("csv", "parquet"))
    assert sorted(p.name for p in made) == ["findings.csv", "findings.parquet", "timings.csv", "timings.parquet"]
    read: Any = pandas.read_parquet(tmp_path / "findings.parquet")
    assert len(read) == 0 and str(read["estimate"].dtype) == "float64"


def test_without_pandas_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import dropcheck

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(UsageError, match=r"^tables need pandas: pip install 'dropcheck\[pandas\]'$"):
        dropcheck.frame(result(target("a", [finding("rate.zero", "pass")])))
