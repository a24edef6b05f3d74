"""Levels of failures: every check has one, and what counts decides each exit code of audit, library and pytest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from kits.stored import finding, result, target

from dropcheck import cli
from dropcheck.contract.errors import UsageError
from dropcheck.judge import levels, recomputing
from dropcheck.judge.claims import CLAIMS
from dropcheck.plan.request import AuditRequest, prepare, recorded
from dropcheck.report import sentences
from dropcheck.report import text as text_report
from dropcheck.results import audit as results
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding, Request, Result

DEFECT = finding("mask.distinct-calls", "fail", "float32 rate=0.3 5,5,5 calls=64")
EDGE = finding("rate.one", "fail", "float32 rate=1")
TRAIT = finding("form.nonfinite", "fail", "float32 rate=0.5 with Inf and NaN", level="trait")
FAIR = finding("rate.marginal", "pass")
UNSURE = finding("rate.per-channel", "inconclusive")
FINE = finding("rate.zero", "pass", "float32 rate=0")


def test_every_check_has_a_level_and_only_known_checks_have_one_of_their_own() -> None:
    table = levels.table()
    assert set(table) == set(CLAIMS) and set(table.values()) == {"defect", "edge"}
    assert {name for name, level in table.items() if level == "edge"} == set(levels.EDGES)
    assert set(levels.STRICTER) <= set(CLAIMS)


@pytest.mark.parametrize(
    ("check", "case", "level"),
    [
        ("form.shape-dtype", "float32 rate=0.3 inference", "defect"),
        ("form.shape-dtype", "float32 rate=1 inference grad", "edge"),
        ("form.input-untouched", "float32 rate=0 then inference", "edge"),
        ("mode.inference", "float32 rate=0.9 inference of all values", "defect"),
        ("mode.inference", "float32 rate=1 inference of all values", "edge"),
        ("mode.inference", "spends no randomness", "defect"),
        ("rate.set-later", "float32 rate=0.8 set later", "defect"),
        ("rate.set-later", "float32 rate=0.15 set later", "defect"),
        ("rate.set-later", "float32 rate=0.3 beside 0.8", "defect"),
        ("form.copies", "float32 rate=0.3 pickle in turn", "defect"),
        ("gradient.edges", "float32 rate=0 grad", "edge"),
        ("gradient.edges", "gradient", "edge"),
        ("rate.rejects-invalid", "rate=nan", "edge"),
        ("rate.rejects-invalid", "invalid rates", "edge"),
        ("form.empty", "float32 no channels inference", "edge"),
        ("rate.marginal", "float32 rate=0.001 257,64,4 calls=96", "defect"),
        ("rate.marginal", "float32 rate=1 257,64,4 calls=96", "edge"),
        ("rate.marginal", "float32 rate=0.9999999 257,64,4 calls=96", "defect"),
        ("rate.per-shape", "rate=0.1 over 2 shapes", "defect"),
        ("scale.mean", "float32 rate=0.001", "defect"),
        ("form.nonfinite", "float32 rate=0.5 with Inf and NaN", "defect"),
    ],
)
def test_the_level_of_a_check_in_a_case(check: str, case: str, level: str) -> None:
    assert levels.level(check, case) == level
    assert levels.of(finding(check, "fail", case)) == level


def test_a_trait_is_what_its_check_says_and_no_result_can_claim_it_for_another_check() -> None:
    assert levels.of(TRAIT) == "trait"
    assert levels.of(msgspec.structs.replace(EDGE, level="trait")) == "trait"
    assert levels.of(msgspec.structs.replace(DEFECT, level="trait")) == "defect"
    assert levels.of(msgspec.structs.replace(DEFECT, level="edge")) == "defect"


def test_what_edges_are_about() -> None:
    some = [
        finding("form.empty", "fail", "float32 no rows"),
        finding("rate.rejects-invalid", "fail", "rate=-0.1"),
        EDGE,
        finding("gradient.edges", "fail", "float32 rate=0 grad"),
        DEFECT,
    ]
    assert levels.places(some) == ("rate 0", "rate 1", "invalid rates", "empty inputs")
    assert levels.worst(some) == "defect" and levels.worst([TRAIT, EDGE]) == "edge" and levels.worst([FINE]) is None


def made(*some: Finding, fail_on: Any = None, **changed: Any) -> Result:
    return result(
        target("mine.py:layer", [FINE, *some], **changed),
        request=Request(targets=["mine.py:layer"], strict=True, fail_on=fail_on),
    )


# what fails, and the exit codes without --fail-on and with defect, edge, trait
CODES: list[tuple[list[Finding], int, int, int, int]] = [
    ([], 0, 0, 0, 0),
    ([TRAIT], 1, 0, 0, 1),
    ([EDGE], 1, 0, 1, 1),
    ([EDGE, TRAIT], 1, 0, 1, 1),
    ([DEFECT], 1, 1, 1, 1),
    ([DEFECT, EDGE], 1, 1, 1, 1),
    ([DEFECT, EDGE, TRAIT], 1, 1, 1, 1),
]
ASKED = (None, "defect", "edge", "trait")
TABLE = [(row[0], asked, code) for row in CODES for asked, code in zip(ASKED, row[1:], strict=True)]


@pytest.mark.parametrize(("some", "asked", "code"), TABLE)
def test_the_exit_code_of_what_fails(some: list[Finding], asked: Any, code: int) -> None:
    found = made(*some, fail_on=asked)
    assert levels.exit_code(found) == code
    assert found.verdict == ("fail" if some else "pass")  # the verdict does not depend on it
    below = levels.tolerated(found)
    assert {one.check for _, one in below} == {one.check for one in some if not levels.counts(one, asked)}


@pytest.mark.parametrize(("some", "asked", "code"), TABLE)
def test_the_command_ends_with_it(
    some: list[Finding],
    asked: Any,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dropcheck.auditing import run as auditing

    requests = []

    def run(request: AuditRequest, progress: Any = None) -> Result:
        requests.append(request)
        return msgspec.structs.replace(made(*some), request=recorded(request))

    monkeypatch.setattr(auditing, "run", run)
    options = ["--strict", *(["--fail-on", asked] if asked else [])]
    file = tmp_path / "result.json"
    assert cli.main(["audit", "custom.reference", *options, "--json", str(file)]) == code
    assert requests[0].fail_on == asked
    stored = results.load(file)
    assert stored.request is not None and stored.request.fail_on == asked
    assert capsys.readouterr().err == ""
    if some == [EDGE]:  # a stored result counts as it did when it was made
        assert cli.main(["report", str(file), "--out", str(tmp_path / "page")]) == code


def test_what_is_missing_beside_a_failure_that_does_not_count_is_missing() -> None:
    unsure = finding("rate.marginal", "inconclusive")
    broke = finding("rate.marginal", "error")
    assert levels.exit_code(made(EDGE, unsure, fail_on="defect")) == 3
    assert levels.exit_code(made(EDGE, broke, fail_on="defect")) == 3
    assert levels.exit_code(made(EDGE, fail_on="defect", error="the worker died")) == 3
    assert levels.exit_code(made(EDGE, fail_on="defect", planned={"seed.reset": ["x"]})) == 3
    assert levels.exit_code(msgspec.structs.replace(made(EDGE, fail_on="defect"), interrupted=True)) == 3
    assert levels.exit_code(made(EDGE, fail_on="defect", error="it broke", fault=True)) == 2


def test_what_was_not_judged_because_of_an_edge_is_missing_unless_it_is_an_edge_itself() -> None:
    hidden = finding("mask.whole-channels", "skipped", message=f"{NOT_INTERPRETABLE} rate.one fails: x")
    edge = finding("gradient.edges", "skipped", "float32 rate=1 grad", message=f"{NOT_INTERPRETABLE} rate.one fails")
    away = finding("seed.reset", "skipped", message="no seed reaches this layer")
    assert levels.exit_code(made(EDGE, edge, away, fail_on="defect")) == 0
    assert levels.exit_code(made(EDGE, hidden, fail_on="defect")) == 3
    assert levels.exit_code(made(EDGE, hidden)) == 1
    assert levels.exit_code(made(hidden, fail_on="defect")) == 0  # as without --fail-on


def test_another_target_of_the_run_counts_for_itself() -> None:
    both = result(target("a", [EDGE, FINE]), target("b", [DEFECT]), request=Request(fail_on="defect"))
    assert levels.exit_code(both) == 1
    assert [(t.target, one.check) for t, one in levels.tolerated(both)] == [("a", "rate.one")]
    alone = result(target("a", [EDGE]), request=Request(fail_on="defect"))
    assert levels.exit_code(alone) == 0


def test_a_level_that_there_is_not_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "custom.reference", "--fail-on", "edges"]) == 2
    told = capsys.readouterr().err
    assert told == "dropcheck: --fail-on takes defect, edge or trait, not 'edges'; the nearest is 'edge'\n"
    with pytest.raises(UsageError, match="the nearest is 'defect'"):
        prepare(AuditRequest(targets=("custom.reference",), fail_on="defects"))


def test_a_stored_level_is_held_against_its_check() -> None:
    strict = Request(targets=["mine.py:layer"], strict=True)

    def said(one: Finding, request: Request = strict, **contract: Any) -> list[str]:
        owner = target("mine.py:layer", [one], contract={"pattern": "n c l -> n c", **contract})
        return recomputing.recompute(result(owner, request=request)).disagreements

    assert said(TRAIT) == []
    assert "it fails without --strict, too" in said(TRAIT, Request(targets=["mine.py:layer"]))[0]
    assert "it fails without --strict, too" in said(TRAIT, promises=["nonfinite"])[0]
    assert "'trait'" in said(msgspec.structs.replace(DEFECT, level="trait"))[0]


def test_results_from_before_there_were_levels_load_and_fail_as_they_did() -> None:
    old = results.encode(result(target("mine.py:layer", [FINE, EDGE]))).replace(b'      "level": null,\n', b"")
    tree = msgspec.json.decode(old)
    for one in tree["targets"][0]["findings"]:
        one.pop("level", None)
    loaded = results.decode(msgspec.json.encode(tree), "old.json")
    assert levels.exit_code(loaded) == 1 and levels.fail_on(loaded) is None and levels.tolerated(loaded) == []


@pytest.mark.parametrize(("some", "asked", "code"), TABLE)
def test_the_library_raises_or_warns(some: list[Finding], asked: Any, code: int) -> None:
    from dropcheck import library

    found = made(*some, fail_on=asked)
    told = library.failure(found)
    assert (told is None) == (code == 0) and (told is None or isinstance(told, library.Broken))
    assert bool(library.tolerated(found)) == bool(levels.tolerated(found))
    if told is not None:
        gravest = min(some, key=lambda one: levels.LEVELS.index(levels.of(one)))
        assert str(told).startswith(gravest.message)


HEADLINES = [
    ([DEFECT, EDGE], None, "mine.py:layer: 2 of 3 checks fail (mask.distinct-calls; 1 edge case)."),
    ([EDGE, FAIR], None, "mine.py:layer: correct at every rate in (0, 1); 1 edge case to fix (rate 1)."),
    (
        [EDGE, UNSURE],
        None,
        "mine.py:layer: no defect found, but 1 check without a verdict; 1 edge case to fix (rate 1).",
    ),
    (
        [TRAIT, FAIR],
        None,
        "mine.py:layer: correct at every rate in (0, 1); 1 trait fails under --strict (form.nonfinite).",
    ),
    (
        [EDGE, FAIR],
        "defect",
        "mine.py:layer: correct at every rate in (0, 1); 1 edge case to fix (rate 1). "
        "With --fail-on defect, 1 failing check does not count.",
    ),
    ([FAIR], None, "mine.py:layer: all 2 checks pass."),
]


@pytest.mark.parametrize(("some", "asked", "sentence"), HEADLINES)
def test_the_headline_says_how_grave_it_is(some: list[Finding], asked: Any, sentence: str) -> None:
    assert sentences.headline(made(*some, fail_on=asked)) == sentence


def test_the_headline_claims_no_more_than_what_ran() -> None:
    part = msgspec.structs.replace(made(EDGE, FAIR), request=Request(select=["rate"]))
    assert sentences.headline(part) == "mine.py:layer: no defect in 1 check; 1 edge case to fix (rate 1)."
    assert "no other check ran" in sentences.headline(made(EDGE))
    without = msgspec.structs.replace(made(EDGE, FAIR), request=Request(ignore=["rate.rejects-invalid"]))
    assert "correct at every rate" in sentences.headline(without)
    without = msgspec.structs.replace(made(EDGE, FAIR), request=Request(ignore=["mask"]))
    assert "no defect in 1 check" in sentences.headline(without)
    old = msgspec.structs.replace(made(EDGE, FAIR), request=None)
    assert "no defect in 1 check" in sentences.headline(old)


def test_the_headline_and_the_matrix_of_several_targets() -> None:
    some = [target("good", [FAIR]), target("edges", [FAIR, EDGE]), target("bad", [DEFECT, EDGE])]
    text = sentences.headline(result(*some))
    assert text == "Of 3 implementations, 1 passes all checks, 1 has edge cases only, 1 has defects."
    assert [sentences.cell(one, "rate") for one in some] == ["pass", "edge", "edge"]
    assert sentences.cell(some[2], "mask") == "fail" and sentences.cell(target("t", [TRAIT]), "form") == "trait"
    shown = text_report.render(result(*some), width=100)
    assert "~ edge" in shown and "✗ FAIL" in shown
