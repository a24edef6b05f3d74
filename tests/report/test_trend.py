"""Trends: releases by time, changes only where two results prove them, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kits import stored
from kits.bench import Workshop, bench

from dropcheck.cli import main
from dropcheck.report.compare import trend_text
from dropcheck.report.compare.trend import Trend, trends
from dropcheck.results.audit import Finding, Result
from dropcheck.results.history import entries, stores

NAME = "mine.py:Layer"
GOOD, OFF = stored.rate(480_100, 1_600_000), stored.rate(496_000, 1_600_000)


def run(
    *findings: Finding, version: str = "2.13.0", dropcheck: str = "0.1.0", name: str = NAME, **changed: object
) -> Result:
    environment = {"platform": "Linux x86_64", "cores": 2, "packages": {"dropcheck": dropcheck}}
    return stored.result(stored.target(name, findings, version=version), **{"environment": environment, **changed})


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def keep(folder: Path, *results: Result) -> Trend:
    """The trend of the one target of these results, one a month."""
    history = stores.at(str(folder))
    for month, result in enumerate(results, 1):
        history.add(entries.encoded(result), f"2026-{month:02}-01T00:00:00Z")
    (found,) = trends(history).targets
    return found


def test_runs_of_one_release_that_say_the_same_are_one_row(kept: Path) -> None:
    found = keep(kept, *(run(GOOD, seed=seed, argv=[str(seed)]) for seed in (1, 2, 3)), run(GOOD, version="2.14.0"))
    assert [(r.release, r.runs, r.first[:7], r.last[:7]) for r in found.audits] == [
        ("PyTorch 2.13.0", 3, "2026-01", "2026-03"),
        ("PyTorch 2.14.0", 1, "2026-04", "2026-04"),
    ]
    assert found.changes == []


def test_a_release_that_breaks_a_promise_and_one_that_mends_it_are_told_with_their_proof(kept: Path) -> None:
    found = keep(kept, run(GOOD, version="1"), run(OFF, version="2"), run(GOOD, version="3"))
    assert [(c.what, c.word, c.before[0], c.after[0], c.when[:7]) for c in found.changes] == [
        ("rate.marginal", "worse", "PyTorch 1", "PyTorch 2", "2026-02"),
        ("rate.marginal", "better", "PyTorch 2", "PyTorch 3", "2026-03"),
    ]
    assert "pass -> fail" in found.changes[0].text and "do not meet" in found.changes[0].text


def test_edge_cases_that_fail_have_a_mark_of_their_own(kept: Path) -> None:
    edge = stored.finding("rate.one", "fail", "float32 rate=1")
    found = keep(kept, run(GOOD, edge, version="1"), run(OFF, edge, version="2"))
    shown = trend_text.audit_rows(found.audits)
    assert [row[shown[0].index("rate")] for row in shown] == ["rate", "~ edge", "✗ FAIL"]
    rows = trend_text.claim_rows(found.audits)
    assert {(row[0], row[5]) for row in rows[1:]} >= {("rate.one", "~ edge"), ("rate.marginal", "✗ FAIL")}


def test_another_verdict_at_another_resolution_is_no_change(kept: Path) -> None:
    fine = stored.rate(6_016_000, 20_000_000, profile="standard")
    assert fine.verdict == "fail"
    found = keep(kept, run(GOOD, version="1"), run(fine, version="2", profile="standard"))
    assert [c.word for c in found.changes] == ["unproven"]
    assert "nothing shows that it passed before" in found.changes[0].text


def test_missing_evidence_is_neither_better_nor_worse(kept: Path) -> None:
    unsure = stored.finding("rate.marginal", "inconclusive", message="too few coins")
    found = keep(kept, run(GOOD, version="1"), run(unsure, version="2"), run(GOOD, version="3"))
    assert [c.word for c in found.changes] == ["lost", "gained"]


def test_the_checks_own_release_is_named_where_it_changed(kept: Path) -> None:
    found = keep(kept, run(GOOD, dropcheck="0.1.0"), run(OFF, dropcheck="0.2.0"))
    (change,) = found.changes
    assert (change.before[1], change.after[1]) == ("dropcheck 0.1.0", "dropcheck 0.2.0")


def test_an_edited_layer_of_ones_own_has_a_row_for_each_stretch(kept: Path) -> None:
    found = keep(kept, run(GOOD), run(GOOD, seed=8), run(OFF), run(OFF, seed=8))
    assert [(r.verdict, r.runs) for r in found.audits] == [("pass", 2), ("fail", 2)]
    assert [c.word for c in found.changes] == ["worse"]


def test_environments_of_one_target_are_its_releases(kept: Path) -> None:
    found = keep(kept, run(GOOD, name=f"{NAME} with torch==2.4.1", version="2.4.1"), run(GOOD))
    assert [r.version for r in found.audits] == ["2.4.1", "2.13.0"]


def test_ratios_of_benches_stand_beside_and_only_proven_ones_are_changes(kept: Path) -> None:
    history = stores.at(str(kept))
    for month, ns in enumerate((1000.0, 1004.0, 1500.0), 1):
        made = bench(Workshop(seed=month, ns={"custom.reference": ns}), "torch.Dropout1d", "custom.reference")
        history.add(entries.encoded(made), f"2026-{month:02}-01T00:00:00Z")
    (found,) = [t for t in trends(history).targets if t.target == "custom.reference"]
    assert [len(r.ratios) for r in found.benches] == [1, 1, 1]
    assert [(c.word, c.when[:7]) for c in found.changes] == [("slower", "2026-03")]
    assert "against torch.Dropout1d" in found.changes[0].text


# --- the command ---------------------------------------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["trend", *words])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_the_terminal_shows_releases_by_word_and_glyph_and_what_changed_when(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(kept, run(GOOD, version="1"), run(OFF, version="2"))
    code, out, _ = told(capsys, "--history", str(kept))
    assert code == 0
    assert f"2 runs in {kept}: 1 target got worse." in out
    assert "PyTorch 1  0.1.0      quick    2026-01-01  1     ✓ pass" in out
    assert "PyTorch 2  0.1.0      quick    2026-02-01  1     ✗ FAIL" in out
    assert "✗ got worse: 2026-02-01, PyTorch 1 -> PyTorch 2" in out
    code, out, _ = told(capsys, "--history", str(kept), "--check", "rate", "--last", "1")
    assert "rate.marginal  PyTorch 2  0.1.0      quick    2026-02-01  ✗ FAIL   0.31      0.3" in out
    assert "PyTorch 1 " not in out


def test_json_and_page_say_the_same_and_hostile_names_stay_text(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\n.py:Layer"
    keep(kept, run(GOOD, name=hostile, version="<i>1"), run(OFF, name=hostile, version="2"))
    out = kept.parent / "page"
    code, text, _ = told(capsys, "--history", str(kept), "--json", str(kept.parent / "t.json"), "--out", str(out))
    assert code == 0 and "\x1b" not in text
    assert (out / "trend.json").read_bytes() == (kept.parent / "t.json").read_bytes()
    found = json.loads((out / "trend.json").read_text())
    assert found["schema"] == "dropcheck.trend/1" and found["targets"][0]["changes"][0]["word"] == "worse"
    page = (out / "index.html").read_text()
    assert "<script>" not in page and "<i>" not in page and "got worse" in page and "\x1b" not in page
    assert (
        "unsafe-inline" not in page and 'href="#main"' in page and page.count("<main") == page.count('id="main"') == 1
    )


def test_results_are_added_by_hand_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, place = tmp_path / "r.json", str(tmp_path / "h")
    file.write_bytes(entries.encoded(run(GOOD)))
    assert told(capsys, "--add", str(file), "--history", place)[1].startswith(f"History {place}: added\n1 run in")
    assert "kept there already" in told(capsys, "--add", str(file), "--history", place)[1]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--history", "none"], 3, "There is no history at none yet"),
        (["--history", "kept", "--since", "2030-01-01"], 3, "holds nothing of what was asked"),
        (["--history", "kept", "--check", "scale.mean"], 3, "holds nothing of what was asked"),
        (["--history", "kept", "mine.py:Lajer"], 2, "has no target 'mine.py:Lajer'; the nearest is 'mine.py:Layer'"),
        (["--history", "kept", "--since", "soon"], 2, "--since takes a day such as 2026-01-31 (UTC), not 'soon'"),
        (["--history", "kept", "--check", "rate.marginl"], 2, "the nearest is 'rate.marginal'"),
        (["--history", "kept", "--last", "-1"], 2, "--last takes a number of at least 0"),
        (["--history", "mysql://x"], 2, "knows no 'mysql' databases"),
    ],
)
def test_nothing_is_three_and_nonsense_is_two(
    words: list[str],
    code: int,
    sentence: str,
    kept: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep(kept, run(GOOD))
    monkeypatch.chdir(kept.parent)
    found, out, err = told(capsys, *words)
    assert (found, sentence in out + err) == (code, True), out + err


def test_an_audit_is_kept_and_a_place_that_cannot_be_is_refused_before_it_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["audit", "custom.reference", "--select", "rate.zero", "--dtype", "float32"]
    assert main([*asked, "--history", "mysql://x"]) == 2
    assert main([*asked, "--history", str(tmp_path / "kept")]) == 0
    assert capsys.readouterr().out.endswith(f"History {tmp_path / 'kept'}: added\n")
    code, out, _ = told(capsys, "custom.reference", "--history", str(tmp_path / "kept"))
    assert code == 0 and "✓ pass" in out
