"""Comparisons of audits: what changed is what the numbers of both runs say, and never what chance may do."""

from __future__ import annotations

import functools
import html
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from kits.stored import CASE, finding, rate, result, target
from scipy.stats import binom

from dropcheck.cli import main
from dropcheck.report.compare import audits, decision, markdown, page, records, text
from dropcheck.results.audit import Finding, Result, encode
from dropcheck.statistics import binomial

N = 1_579_008
RIGHT, WRONG, WORSE = rate(473_000, N), rate(520_000, N), rate(600_000, N)
DEEP = "float32 rate=0.3 257,64,4 calls=9000"


def pair(old: list[Finding], new: list[Finding], **changed: Any) -> records.Comparison:
    second = msgspec.structs.replace(result(target("layer", new)), **changed)
    return audits.compare([result(target("layer", old)), second], ["old.json", "new.json"])


def word(old: Finding, new: Finding) -> str:
    return pair([old], [new]).owners[0].words[0]


def test_a_rate_that_broke_got_worse_and_one_that_was_mended_got_better() -> None:
    assert (word(RIGHT, WRONG), word(WRONG, RIGHT), word(RIGHT, RIGHT)) == ("worse", "better", "same")
    found = pair([RIGHT], [WRONG])
    assert records.exit_code(found) == 1
    assert "do not meet" in found.rows[0].changes[0].text
    assert records.exit_code(pair([WRONG], [RIGHT])) == 0


def test_a_failure_that_fails_by_more_got_worse_and_by_less_got_better() -> None:
    assert (word(WRONG, WORSE), word(WORSE, WRONG)) == ("worse", "better")
    assert word(WRONG, rate(520_100, N)) == "same"


def test_a_pass_at_another_value_is_named_and_is_no_failure() -> None:
    apart = [rate(471_900, N), rate(475_550, N)]
    assert all(one.verdict == "pass" for one in apart)
    far = [
        msgspec.structs.replace(one, fail_interval=(k, k + 0.0001))
        for one, k in zip(apart, (0.2985, 0.301), strict=True)
    ]
    assert word(far[0], far[1]) == "moved"
    assert records.exit_code(pair([far[0]], [far[1]])) == 0


def test_a_finer_look_that_finds_what_a_coarse_pass_could_not_see_is_no_change() -> None:
    """The layer drops at .3012 in both runs: quick cannot see it, a run with ninety times the coins does."""
    coins = 257 * 64 * 9000
    before, after = rate(round(0.3012 * N), N), rate(round(0.3012 * coins), coins, DEEP)
    assert (before.verdict, after.verdict) == ("pass", "fail")
    found = pair([before], [after], profile="standard")
    assert found.owners[0].words == ["unproven"]
    assert records.exit_code(found) == 3
    assert any("other cases and resolutions" in note for note in found.notes)
    # and the other way round, a pass at a coarser resolution mends nothing
    assert pair([after], [before]).owners[0].words == ["unproven"]
    assert "nothing shows that it was fixed" in pair([after], [before]).rows[0].changes[0].text


def test_edge_cases_that_fail_have_a_mark_of_their_own_in_every_format() -> None:
    edge = [finding("rate.one", verdict, "float32 rate=1") for verdict in ("pass", "fail")]
    found = pair([RIGHT, edge[0]], [RIGHT, edge[1]])
    (owner,) = found.owners
    assert owner.verdicts == ["pass", "fail"] and owner.marks == ["pass", "edge"]
    assert [cell.mark for row in found.rows for cell in row.cells if cell is not None] == ["pass", "edge"]
    for render in (text.render, markdown.render, page.render):
        shown = render(found)
        assert "~ edge" in shown and "FAIL" not in shown.replace("FAILED", "")
    (owner,) = pair([RIGHT], [WRONG, edge[1]]).owners
    assert owner.marks == ["pass", "fail"]
    old = msgspec.structs.replace(found.owners[0], levels=[])  # as an earlier release wrote it
    assert old.marks == ["pass", "fail"]


def test_evidence_that_is_lost_is_missing_and_no_failure() -> None:
    coarse = rate(30_000, 100_000)
    assert coarse.verdict == "inconclusive"
    found = pair([RIGHT], [coarse])
    assert found.owners[0].words == ["lost"] and records.exit_code(found) == 3
    assert "resolution" in found.rows[0].changes[0].text
    assert word(coarse, RIGHT) == "gained" and records.exit_code(pair([coarse], [RIGHT])) == 3
    assert word(coarse, WRONG) == "unproven"
    crashed = audits.compare(
        [result(target("layer", [RIGHT])), result(target("layer", [], error="killed by signal 9"))],
        ["a.json", "b.json"],
    )
    assert crashed.owners[0].words == ["lost"] and records.exit_code(crashed) == 3
    assert "killed by signal 9" in text.render(crashed)


def test_what_only_one_result_has_appeared_or_disappeared() -> None:
    old = result(target("kept", [RIGHT]), target("gone", [RIGHT]))
    new = result(target("kept", [RIGHT, finding("form.empty", "pass", "float64 no rows")]), target("fresh", [WRONG]))
    found = audits.compare([old, new], ["old.json", "new.json"])
    assert {o.target: o.words[0] for o in found.owners} == {
        "kept": "appeared",
        "gone": "disappeared",
        "fresh": "appeared",
    }
    assert records.exit_code(found) == 3
    shown = text.render(found)
    assert "gone" in shown and "fresh" in shown and "verdict fail" in shown


def test_an_exact_answer_that_changed_is_a_change() -> None:
    good, bad = finding("mode.inference", "pass"), finding("mode.inference", "fail")
    assert (word(good, bad), word(bad, good)) == ("worse", "better")


def test_answers_about_other_seeds_decide_nothing() -> None:
    good, bad = finding("mask.distinct-channels", "pass"), finding("mask.distinct-channels", "fail")
    assert pair([good], [bad]).owners[0].words == ["worse"]
    assert pair([good], [bad], seed=8).owners[0].words == ["unproven"]


def test_one_bad_coin_in_a_million_may_be_chance_and_a_thousand_are_none() -> None:
    good = finding("mask.whole-channels", "pass", tallies={"disagreeing": 0, "coins": N}, resolution=1e-5, estimate=0.0)
    one = finding(
        "mask.whole-channels", "fail", tallies={"disagreeing": 1, "coins": N}, resolution=1e-5, estimate=1 / N
    )
    many = finding(
        "mask.whole-channels", "fail", tallies={"disagreeing": 1000, "coins": N}, resolution=1e-5, estimate=1000 / N
    )
    assert (word(good, one), word(good, many), word(one, good)) == ("unproven", "worse", "unproven")
    assert "chance does once in 2 times" in pair([good], [one]).rows[0].changes[0].text


def test_a_failure_that_is_waived_is_worse_and_ends_with_0() -> None:
    waived = msgspec.structs.replace(WRONG, verdict="waived")
    found = pair([RIGHT], [waived])
    assert found.owners[0].words == ["worse"] and records.exit_code(found) == 0
    assert pair([waived], [WRONG]).owners[0].words == ["same"]


def test_a_failing_case_that_the_other_run_did_not_ask_is_no_change() -> None:
    drawn = "float32 rate=0.3 9,17,4 calls=900"
    fails = rate(60_000, 137_700, drawn)
    found = pair([RIGHT], [RIGHT, fails])
    assert found.owners[0].words == ["unproven"] and "did not run before" in found.rows[0].changes[0].text
    # where the claim fails in both, another drawn case that fails is nothing new
    assert pair([WRONG], [WRONG, fails]).owners[0].words == ["same"]


def test_releases_of_one_target_are_compared_by_its_name_without_them() -> None:
    old = result(target("torch.Dropout1d with torch==2.4.1", [RIGHT], "2.4.1"))
    new = result(target("torch.Dropout1d with torch==2.13.0", [WRONG], "2.13.0"))
    found = audits.compare([old, new], ["old.json", "new.json"])
    assert [(o.target, o.words) for o in found.owners] == [("torch.Dropout1d", ["worse"])]
    for shown in (text.render(found), markdown.render(found), page.render(found)):
        assert "PyTorch 2.4.1" in shown and "PyTorch 2.13.0" in shown
    # two releases in one file are two targets: which would be the other's is not guessed
    both = result(*old.targets, *new.targets)
    assert len(audits.compare([both, new], ["both.json", "new.json"]).owners) == 2


def test_two_layers_with_a_file_each_are_set_side_by_side() -> None:
    low, high = result(target("c.py:Low", [RIGHT])), result(target("c.py:High", [WRONG]))
    found = audits.compare([low, high], ["low.json", "high.json"])
    assert [(o.target, o.words) for o in found.owners] == [("c.py:Low and c.py:High", ["worse"])]
    assert "these are compared (low: c.py:Low, high: c.py:High)" in found.notes[0]
    # with a second target in one file nobody knows which two are meant
    three = result(*high.targets, target("c.py:Third", [RIGHT]))
    assert len(audits.compare([low, three], ["low.json", "three.json"]).owners) == 3


def test_the_page_allows_its_own_style_alone_and_a_keyboard_skips_to_the_content() -> None:
    shown = page.render(pair([RIGHT], [WRONG]))
    assert "unsafe-inline" not in shown and "style-src 'sha256-" in html.unescape(shown) and " style=" not in shown
    assert 'href="#main"' in shown and shown.count("<main") == shown.count('id="main"') == shown.count("</html>") == 1
    assert "is-fail" in shown


def test_three_results_stand_side_by_side_against_the_first() -> None:
    three = [result(target("layer", [one])) for one in (RIGHT, WRONG, rate(473_050, N))]
    found = audits.compare(three, ["r1/result.json", "r2/result.json", "r3/result.json"])
    assert [s.label for s in found.sides] == ["r1", "r2", "r3"]
    assert found.owners[0].words == ["worse", "same"]
    assert [c.estimate for c in found.rows[0].cells if c is not None] == [473_000 / N, 520_000 / N, 473_050 / N]
    assert records.exit_code(found) == 1
    for shown in (text.render(found), markdown.render(found), page.render(found)):
        for number in ("0.299555", "0.329321", "0.299587"):
            assert number in shown


# --- calibration under the null --------------------------------------------------------------------------------------


resolved = functools.cache(binomial.resolution)


def simulated(k: int, n: int, p: float, alpha: float, beta: float, coarsest: float, check: str) -> Finding:
    """What a check would say at inflated error probabilities, by the exact law."""
    log = binomial.log10_outside(k, n, p)
    resolution = resolved(n, p, alpha, beta)
    failed = log <= np.log10(alpha)
    return Finding(
        check=check,
        case=CASE,
        verdict="fail" if failed else "pass" if resolution <= coarsest else "inconclusive",
        message="",
        estimate=k / n,
        expected=p,
        unit="probability of a drop",
        fail_interval=binomial.clopper_pearson(k, n, alpha) if check == "rate.marginal" else None,
        resolution=resolution,
        log10_evidence=log,
        alpha=alpha,
        coins=n,
        tallies={"dropped": k, "coins": n, "tolerated": 0.0},
    )


@pytest.mark.parametrize("sizes", [(2000, 2000), (1000, 20_000)])
@pytest.mark.parametrize("check", ["rate.marginal", "rate.per-shape"])
def test_a_layer_that_did_not_change_is_called_changed_no_more_often_than_stated(
    check: str, sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exact sums over both counts, at alpha = beta = .05, for rates from none to far beyond the resolution."""
    alpha = beta = 0.05
    p, (n, m) = 0.3, sizes
    monkeypatch.setattr(decision, "BETA", beta)
    stated = 2 * alpha if check == "rate.marginal" else 2 * alpha + 2 * beta
    worst = 0.0
    for theta in (0.3, 0.31, 0.32, 0.335, 0.35, 0.37, 0.4):
        laws = []
        for size in (n, m):
            low, high = int(binom.ppf(5e-4, size, theta)), int(binom.isf(5e-4, size, theta))
            counts = np.unique(np.linspace(low, high, min(high - low + 1, 61)).astype(int))
            edges = np.append(counts[:-1] + np.diff(counts) // 2, size)
            mass = np.diff(np.append(0.0, binom.cdf(edges, size, theta)))
            laws.append(
                [(simulated(int(k), size, p, alpha, beta, 1.0, check), w) for k, w in zip(counts, mass, strict=True)]
            )
        changed = sum(
            v * w
            for old, v in laws[0]
            for new, w in laws[1]
            if decision.decide(old, new).word in ("worse", "better", "moved")
        )
        worst = max(worst, changed)
        assert decision.error_of(laws[0][0][0], laws[1][0][0]) == pytest.approx(stated)
    assert worst <= stated, worst


def test_a_layer_that_changed_is_called_changed() -> None:
    """A move of three resolutions is never missed by the rule that is calibrated above."""
    for check in ("rate.marginal", "rate.per-shape"):
        resolution = binomial.resolution(20_000, 0.3, 0.05, 0.05)
        old = simulated(6000, 20_000, 0.3, 0.05, 0.05, 1.0, check)
        new = simulated(6000 + round(3 * resolution * 20_000), 20_000, 0.3, 0.05, 0.05, 1.0, check)
        assert decision.decide(old, new).word == "worse"


def test_the_stated_error_of_two_whole_runs_is_small() -> None:
    assert pair([RIGHT], [WRONG]).error[0] <= 2e-6


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made: dict[str, Result] = {
        "good": result(target("layer", [RIGHT])),
        "bad": result(target("layer", [WRONG])),
        "forged": result(target("layer", [msgspec.structs.replace(WRONG, verdict="pass")])),
    }
    for name, one in made.items():
        (tmp_path / f"{name}.json").write_bytes(encode(one))
    return tmp_path


def test_the_command_tells_writes_and_ends_with_its_code(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good.json", "bad.json", "--out", "page", "--json", "c.json"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("bad against good: of 1 target, 1 got worse.")
    assert "dropcheck audit mine.py:layer --select rate.marginal" in shown
    assert sorted(p.suffix for p in (files / "page").iterdir()) == [".html", ".json", ".md", ".txt"]
    tree = json.loads((files / "c.json").read_text())
    assert tree["schema"] == "dropcheck.comparison/1"
    assert msgspec.convert(tree, records.Comparison).owners[0].words == ["worse"]
    assert main(["compare", "good.json", "good.json"]) == 0
    assert "as before" in capsys.readouterr().out


def test_a_comparison_is_printed_in_the_formats_of_a_report(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good.json", "bad.json", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["schema"] == "dropcheck.comparison/1"
    assert main(["compare", "good.json", "bad.json", "--format", "markdown"]) == 1
    assert capsys.readouterr().out.startswith("#")
    assert main(["compare", "good.json", "bad.json", "--format", "html,text", "--out", "some"]) == 1
    assert sorted(p.name for p in (files / "some").iterdir()) == ["compare.html", "compare.txt"]
    assert main(["report", "bad.json", "--format", "text"]) == 1
    shown = capsys.readouterr().out
    assert main(["report", "bad.json", "--format", "text", "--out", "some"]) == 1
    assert (files / "some" / "report.txt").read_text().splitlines()[0] in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["good.json", "bad.json", "--format", "pdf"], "there is no format 'pdf'; expected text, markdown, json, html"),
        (["good.json", "bad.json", "--format", "html"], "--format html writes files: give the folder with --out DIR"),
        (["good.json", "gone.json"], "cannot read the result gone.json"),
        (["good.json", "forged.json"], "forged.json does not agree with its own numbers"),
        (["good.json", "bad.json", "--margin", ".1"], "--margin and --level apply to benchmarks"),
        (
            ["good.json", "SELFTEST"],
            "compare takes results of one kind, audits or benchmarks: good.json is of kind audit",
        ),
        (["good.json"], "compare takes two stored results or more, OLD and NEW: only good.json was given"),
        ([], "compare takes two stored results or more, OLD and NEW: none was given"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(
    files: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = Path(__file__).parents[2] / "reports" / "selftest" / "selftest.json.gz"
    assert main(["compare", *(str(stored) if w == "SELFTEST" else w for w in words)]) == 2
    shown = capsys.readouterr().err.strip()
    assert said in shown and "\n" not in shown
