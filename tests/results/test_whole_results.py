"""A stored result is whole or refused: what is missing is missing evidence, what its counts do not carry is damage."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kits.stored import finding, rate, result, target

import dropcheck
from dropcheck import cli
from dropcheck.judge import recomputing
from dropcheck.results import audit as results
from dropcheck.results.audit import ResultError

CHECKS = (
    "rate.marginal",
    "rate.per-channel",
    "rate.zero",
    "mask.whole-channels",
    "mask.distinct-calls",
    "scale",
    "form.strides",
)
Tree = dict[str, Any]
Edit = Callable[[Tree], Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A real result of a right layer, as it is stored."""
    found = dropcheck.audit("custom.reference", select=CHECKS, dtypes=("float32",), in_process=True, causes=False)
    tree: Tree = json.loads(results.encode(found))
    assert found.verdict == "pass"
    return tree


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    names = json.dumps(list(CHECKS))
    text = f'version = 1\ntargets = ["custom.reference"]\ndtypes = ["float32"]\nchecks = {names}\n'
    (tmp_path / "dropcheck.toml").write_text(text)
    return tmp_path


def codes(tree: Tree, capsys: pytest.CaptureFixture[str]) -> tuple[int, int, str]:
    """Exit codes of ``gate --from`` and of ``report --verify``, and all that both say."""
    Path("r.json").write_text(json.dumps(tree))
    gate, report = cli.main(["gate", "--from", "r.json"]), cli.main(["report", "r.json", "--verify"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err and "fault of dropcheck" not in said.err
    return gate, report, " ".join((said.out + said.err).split())


def some(tree: Tree, check: str) -> Tree:
    """The first finding of a check that passes with numbers; what was asked exactly, in few coins, has none."""
    passed = (f for f in tree["targets"][0]["findings"] if f["check"] == check and f["verdict"] == "pass")
    found: Tree = next(f for f in passed if not f["case"].endswith("of daily use"))
    return found


def at_sizes(tree: Tree, check: str) -> Tree:
    """The finding of a check at sizes of daily use."""
    findings = tree["targets"][0]["findings"]
    found: Tree = next(f for f in findings if f["check"] == check and f["case"].endswith("sizes of daily use"))
    return found


def test_a_whole_result_says_that_it_is(made: Tree, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate, report, said = codes(made, capsys)
    total = len(made["targets"][0]["findings"])
    assert (gate, report) == (0, 0) and f"It carries its plan, and all {total} planned results are there" in said


def test_a_result_from_before_there_were_plans_is_read_and_says_that_it_has_none(
    made: Tree, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = copy.deepcopy(made)
    del old["targets"][0]["planned"]
    gate, report, said = codes(old, capsys)
    assert (gate, report) == (0, 0) and "It carries no plan" in said


@pytest.mark.parametrize("check", ["rate.marginal", "rate.zero", "form.strides"])
def test_a_finding_that_was_cut_out_is_missing_evidence(
    made: Tree, folder: Path, capsys: pytest.CaptureFixture[str], check: str
) -> None:
    cut = copy.deepcopy(made)
    one = some(cut, check)
    cut["targets"][0]["findings"].remove(one)
    gate, report, said = codes(cut, capsys)
    assert (gate, report) == (3, 3)
    assert f"planned results are missing: {check} on {one['case']}" in said
    Path("whole.json").write_text(json.dumps(made))
    assert cli.main(["compare", "whole.json", "r.json"]) == 3
    assert "planned results are missing" in " ".join(capsys.readouterr().out.split())


def test_a_failure_that_was_cut_out_with_all_that_follows_from_it_ships_nowhere(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = dropcheck.audit(
        "custom.reference",
        select=("rate.marginal", "rate.per-channel"),
        dtypes=("float32",),
        in_process=True,
        causes=False,
    )
    tree = json.loads(results.encode(bad))
    # the same layer with one finding turned into a failure, as an audit would have stored it
    tree["targets"][0]["findings"].pop(3)
    tree["targets"][0]["verdict"] = tree["verdict"] = "pass"
    gate, report, _ = codes(tree, capsys)
    assert gate == 3 and report == 3


def test_a_finding_that_no_plan_names_is_damage(made: Tree, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = copy.deepcopy(made)
    more["targets"][0]["findings"].append(copy.deepcopy(some(more, "rate.zero")))
    gate, report, said = codes(more, capsys)
    assert (gate, report) == (2, 2) and "is not in the plan of custom.reference" in said


EDITS: dict[str, tuple[str, Edit, str]] = {
    "a resolution of the rate": ("rate.marginal", lambda f: f.update(resolution=1e-9), "allow no less than"),
    "a resolution of no event": ("rate.zero", lambda f: f.update(resolution=1e-9), "allow no less than"),
    "a resolution of channels": ("rate.per-channel", lambda f: f.update(resolution=1e-9), "allow no less than"),
    "a resolution of copies": ("mask.distinct-calls", lambda f: f.update(resolution=1e-9), "allow no less than"),
    "a resolution of the scale": ("scale.mean", lambda f: f.update(resolution=1e-30), "its detection limit is"),
    "coins of a case": ("rate.marginal", lambda f: f.update(coins=10**15), "decisions, but its case has"),
    "coins beyond a case": ("mask.distinct-calls", lambda f: f.update(coins=10**15), "decisions, but its case has"),
    "coins of an exact question": ("rate.zero", lambda f: f.update(coins=10**15), "decisions, but its case has"),
    "coins and counts": (
        "rate.zero",
        lambda f: (f.update(coins=10**9, resolution=1e-7), f["tallies"].update(coins=10**6)),
        "but its counts are of",
    ),
    "alpha": ("rate.marginal", lambda f: f.update(alpha=0.5), "its alpha is 0.5, but the share"),
    "a small alpha": ("mask.distinct-calls", lambda f: f.update(alpha=1e-300), "but the share of"),
    "tolerated": ("rate.marginal", lambda f: f["tallies"].update(tolerated=0.9), "but the contract grants 0"),
    "what the scale accepts": (
        "scale.mean",
        lambda f: f["tallies"].update(accepted=0.9),
        "it accepts a deviation of 0.9",
    ),
    "an estimate": ("rate.marginal", lambda f: f.update(estimate=float("nan")), "NaN stands where JSON has a number"),
    "another estimate": ("rate.marginal", lambda f: f.update(estimate=0.25), "the estimate is 0.25, but"),
    "an evidence": ("rate.per-channel", lambda f: f.update(log10_evidence=-0.001), "but its counts make it 10^"),
    "a rate": ("rate.marginal", lambda f: f.update(expected=0.77), "but its case asks for"),
    "repeats": ("mask.distinct-calls", lambda f: f["tallies"].update(repeats=9), "but its counts make it"),
    "a change": ("rate.zero", lambda f: f["tallies"].update(changed=1), "changed is 1"),
    "counts": ("rate.marginal", lambda f: f.update(tallies={}), "without the counts"),
    "a count that is a text": ("scale.mean", lambda f: f["tallies"].update(values="many"), "its c"),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_number_that_its_counts_and_its_case_do_not_carry_is_refused(
    made: Tree, folder: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    check, edit, words = EDITS[what]
    tree = copy.deepcopy(made)
    edit(some(tree, check))
    gate, report, said = codes(tree, capsys)
    assert (gate, report) == (2, 2), said
    assert words in said


FORGED: dict[str, Edit] = {
    "a resolution": lambda f: f.update(resolution=1e-9),
    "an estimate": lambda f: f.update(estimate=0.3),
    "an alpha": lambda f: f.update(alpha=1e-9),
    "an evidence": lambda f: f.update(log10_evidence=-3.0),
    "counts of coins": lambda f: f["tallies"].update(tolerated=0.9),
    "nothing that was asked": lambda f: f.update(tallies={}),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_asked_exactly_at_sizes_of_daily_use_holds_no_number_of_coins(
    made: Tree, folder: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    tree = copy.deepcopy(made)
    FORGED[what](at_sizes(tree, "rate.marginal"))
    gate, report, said = codes(tree, capsys)
    assert (gate, report) == (2, 2), said


def test_a_huge_count_of_coins_is_refused(made: Tree, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for where in ("target", "finding"):
        tree = copy.deepcopy(made)
        one = tree["targets"][0] if where == "target" else some(tree, "rate.marginal")
        one["coins"] = 10**18
        assert codes(tree, capsys)[:2] == (2, 2)
        one["coins"] = 1e30
        assert codes(tree, capsys)[:2] == (2, 2)


def test_what_a_contract_grants_itself_is_shown_by_the_gate(
    made: Tree, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = copy.deepcopy(made)
    tree["targets"][0]["contract"]["tolerances"] = {"rate.per-channel": 0.9}
    monkeypatch.setattr(recomputing, "_declared", lambda _: None)  # as of a register that is not installed here
    gate, _, said = codes(tree, capsys)
    assert gate == 0 and "the contract of custom.reference grants rate.per-channel ±0.9" in said
    (folder / "dropcheck.toml").write_text(
        (folder / "dropcheck.toml").read_text() + "[tolerances]\n'rate.per-channel' = 1.0\n"
    )
    assert "which the policy grants too" in codes(tree, capsys)[2]


@pytest.mark.parametrize(
    "more, words",
    [
        (
            {"tolerances": {"rate.per-channel": 0.9}},
            "grants rate.per-channel a deviation of 0.9, but that of the registered",
        ),
        ({"grid": 0.25}, "rates on a grid of 0.25, but that of the registered custom.reference has none"),
    ],
)
def test_a_contract_grants_no_more_than_that_of_the_registered_implementation(
    made: Tree, folder: Path, capsys: pytest.CaptureFixture[str], more: Tree, words: str
) -> None:
    tree = copy.deepcopy(made)
    tree["targets"][0]["contract"].update(more)
    gate, report, _ = codes(tree, capsys)
    assert (gate, report) == (2, 2)
    said = recomputing.recompute(results.load(Path("r.json"))).disagreements
    assert any(words in one for one in said), said


def test_a_plan_counts_findings_of_one_case_that_are_several() -> None:
    twice = [finding("form.strides", "pass", "float32 a"), finding("form.strides", "pass", "float32 a")]
    one = target("t", twice, planned=results.planned(twice))
    assert results.missing(one) == []
    assert results.missing(target("t", twice[:1], planned=one.planned)) == [("form.strides", "float32 a")]
    assert results.exit_code(result(target("t", twice[:1], planned=one.planned))) == 3
    recomputing.verified(result(one), "r.json")
    good = rate(473_000, 1_579_008)
    with pytest.raises(ResultError, match="is not in the plan of t"):
        recomputing.verified(result(target("t", [good], planned={"rate.marginal": []})), "r.json")


def test_one_leak_of_a_gradient_is_no_pass() -> None:
    leaking = finding("gradient.mask", "pass", "float32 rate=0.3", tallies={"coins": 9, "leaking": 1, "missing": 0})
    with pytest.raises(ResultError, match="leaking is 1"):
        recomputing.verified(result(target("t", [leaking])), "r.json")
