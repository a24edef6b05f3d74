"""What counts in a gate: the level of failures against the policy's fail_on, and waivers that name a level."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path
from typing import Any

import pytest
from kits.gate import FILE, SOURCE, TARGET, audit, finding, gate, lines

from dropcheck import cli
from dropcheck.gate.formats.register import render
from dropcheck.gate.policy import PolicyError
from dropcheck.results import audit as results
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding, Request, Result

NAMED = f'targets = ["{TARGET}"]\n'
DEFECT = finding("mask.distinct-calls", "fail", "float32 rate=0.3 5,5,5 calls=64")
EDGE = finding("rate.one", "fail", "float32 rate=1")
TRAIT = finding("form.nonfinite", "fail", "float32 rate=0.5 with Inf and NaN", level="trait")
# what fails, and the exit codes without fail_on and with defect, edge, trait
CODES: list[tuple[list[Finding], int, int, int, int]] = [
    ([], 0, 0, 0, 0),
    ([TRAIT], 1, 0, 0, 1),
    ([EDGE], 1, 0, 1, 1),
    ([EDGE, TRAIT], 1, 0, 1, 1),
    ([DEFECT], 1, 1, 1, 1),
    ([DEFECT, EDGE, TRAIT], 1, 1, 1, 1),
]
TABLE = [
    (row[0], asked, code)
    for row in CODES
    for asked, code in zip((None, "defect", "edge", "trait"), row[1:], strict=True)
]


@pytest.mark.parametrize(("some", "asked", "code"), TABLE)
def test_the_exit_code_of_what_fails(some: list[Finding], asked: Any, code: int) -> None:
    toml = NAMED + (f'fail_on = "{asked}"\n' if asked else "")
    made = gate(audit(*some), toml=toml)
    assert made.exit_code == code
    counted = {one.check for one in lines(made, "fail")} | {one.check for one in made.lines if one.below}
    assert counted == {one.check for one in some}, "nothing that fails goes silently"
    assert {one.level for one in made.lines if one.verdict == "fail" or one.below} == {
        {"mask.distinct-calls": "defect", "rate.one": "edge"}.get(one.check, "trait") for one in some
    }


@pytest.mark.parametrize(("asked", "code"), [(None, 1), ("defect", 0), ("edge", 1)])
def test_the_command_and_the_policy_say_the_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: str | None, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_bytes(FILE)
    results.save(audit(EDGE, source=SOURCE), tmp_path / "a.json")
    words = ["gate", TARGET, "--from", "a.json"]
    assert cli.main([*words, *(["--fail-on", asked] if asked else [])]) == code
    (tmp_path / "dropcheck.toml").write_text("version = 1\n" + NAMED + (f'fail_on = "{asked}"\n' if asked else ""))
    assert cli.main(["gate", "--from", "a.json"]) == code
    capsys.readouterr()
    assert cli.main(["gate", "--dump-config"]) == 0
    shown = capsys.readouterr().out
    assert (
        (f'fail_on = "{asked}"' in shown and "dropcheck.toml:3" in shown) if asked else "# fail_on is not set" in shown
    )
    assert cli.main([*words, "--fail-on", "edges"]) == 2
    assert "(defect, edge, trait); the nearest is 'edge'" in capsys.readouterr().err


def test_a_level_that_there_is_not_is_refused_with_its_line() -> None:
    with pytest.raises(PolicyError, match=r"dropcheck.toml:3: fail_on: 'defects' .*; the nearest is 'defect'"):
        gate(audit(), toml=NAMED + 'fail_on = "defects"\n')


def hidden(check: str) -> Finding:
    return finding(check, "skipped", message=f"{NOT_INTERPRETABLE} while rate.one fails: x")


def test_what_an_edge_hides_is_missing_unless_it_is_an_edge_itself() -> None:
    toml = NAMED + 'fail_on = "defect"\n'
    assert gate(audit(EDGE, hidden("gradient.edges")), toml=toml).exit_code == 0
    made = gate(audit(EDGE, hidden("mask.patterns")), toml=toml)
    assert made.exit_code == 3 and [one.check for one in lines(made, "missing")] == ["mask.patterns"]
    unsure = finding("rate.marginal", "inconclusive")
    assert gate(audit(EDGE, unsure), toml=toml).exit_code == 3
    only = 'checks = ["rate.one"]\n'
    assert gate(audit(EDGE), toml=toml + only).exit_code == 0 and gate(audit(EDGE), toml=NAMED + only).exit_code == 1


WAIVER = f"[[waiver]]\ncheck = 'edge'\ntarget = '{TARGET}'\nreason = 'issue 12'\nexpires = 2027-06-30\n"


def test_a_waiver_of_a_level_accepts_edge_cases_of_all_checks_and_never_a_defect() -> None:
    invalid = finding("rate.rejects-invalid", "fail", "rate=1.5", estimate=1.0)
    shape = finding("form.shape-dtype", "fail", "float32 rate=1 inference")
    made = gate(audit(EDGE, invalid, shape, hidden("gradient.edges")), toml=NAMED + WAIVER)
    assert made.exit_code == 0 and len(lines(made, "waived")) == 4
    for one in (DEFECT, TRAIT, finding("form.shape-dtype", "fail", "float32 rate=0.3")):
        made = gate(audit(EDGE, one), toml=NAMED + WAIVER)
        assert made.exit_code == 1 and [bad.check for bad in lines(made, "fail")] == [one.check]
    traits = NAMED + WAIVER.replace("edge", "trait")
    assert gate(audit(TRAIT), toml=traits).exit_code == 0 and gate(audit(EDGE, TRAIT), toml=traits).exit_code == 1
    made = gate(audit(), toml=NAMED + WAIVER)
    assert any("is not needed: edge cases of" in note.message for note in made.notes)


def test_a_waiver_of_a_level_has_a_ceiling_and_an_end_like_others() -> None:
    small = finding("rate.one", "fail", "float32 rate=1", estimate=0.01, expected=0.0)
    large = finding("rate.one", "fail", "float32 rate=1", estimate=0.5, expected=0.0)
    for more, codes in (
        ("ceiling = 0.1\n", (0, 1, 1)),
        ("ceiling = 0.1\nunmeasured = true\n", (0, 1, 0)),
        ("", (0, 0, 0)),
    ):
        assert tuple(gate(audit(one), toml=NAMED + WAIVER + more).exit_code for one in (small, large, EDGE)) == codes
    late = gate(audit(EDGE), toml=NAMED + WAIVER, today=datetime.date(2027, 7, 1))
    assert late.exit_code == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (WAIVER.replace("'edge'", "'defect'"), "a defect is waived by its check"),
        (WAIVER.replace("'edge'", "'edges'"), "there is no check 'edges'; the nearest is 'edge'"),
        (WAIVER + 'of = "not judged"\n', "accepts skipped checks, too: leave out of"),
    ],
)
def test_a_waiver_of_a_level_that_cannot_be_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence):
        gate(audit(), toml=NAMED + text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_bytes(FILE)
    (tmp_path / "dropcheck.toml").write_text("version = 1\n" + NAMED)
    return tmp_path


def several() -> Result:
    """Three failing checks in several dtypes, two with numbers, and what one of them hides."""
    off = {"estimate": 0.32, "expected": 0.3, "fail_interval": (0.31, 0.33)}
    return audit(
        *(
            finding("rate.one", "fail", f"{dtype} rate=1", estimate=0.5, expected=0.0)
            for dtype in ("float32", "float16")
        ),
        finding("form.strides", "fail", "float32 rate=0.3 strided"),
        hidden("gradient.edges"),
        *(
            finding("rate.per-channel", "fail", f"{dtype} rate=0.3 5,5,5 calls=64", **off)
            for dtype in ("float32", "float64")
        ),
        source=SOURCE,
    )


def test_edge_cases_are_waived_in_one_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.save(audit(EDGE, finding("rate.rejects-invalid", "fail", "rate=1.5"), source=SOURCE), folder / "a.json")
    words = ["waive", "edge", TARGET, "--reason", "issue 12", "--expires", "2099-01-01"]
    assert cli.main(words) == 0 and cli.main(["gate", "--from", "a.json"]) == 0
    capsys.readouterr()
    assert cli.main(["waive", "defect", *words[2:]]) == 2
    assert (
        capsys.readouterr().err == "dropcheck: waive takes checks, 'edge' or 'trait'; a defect is waived by its check\n"
    )


def printed(text: str) -> str:
    """The one line that accepts everything, as the gate prints it."""
    rows = text.splitlines()
    return rows[rows.index("To accept all of this until it gets worse:") + 1].strip()


@pytest.mark.parametrize("kept", ["stored", "made now", "made now and kept"])
def test_the_printed_line_accepts_all_of_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    from dropcheck.auditing import run as auditing

    found = several()
    monkeypatch.setattr(auditing, "run", lambda request, progress=None: found)
    results.save(found, folder / "a.json")
    words = {"stored": ["--from", "a.json"], "made now": [], "made now and kept": ["--out", "kept"]}[kept]
    assert cli.main(["gate", *words]) == 1
    line = printed(capsys.readouterr().out)
    assert ("&&" in line) == (kept == "made now") and ("kept/audit.json" in line) == (kept == "made now and kept")
    for command in line.split(" && "):
        assert cli.main(shlex.split(command)[1:]) == 0, capsys.readouterr()
    assert cli.main(["gate", *words]) == 0, capsys.readouterr()


def test_a_page_of_the_audit_lies_beside_the_decision(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.save(audit(EDGE, source=SOURCE), folder / "a.json")
    assert cli.main(["gate", "--from", "a.json", "--out", "kept"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "Report: kept/index.html"
    page = (folder / "kept" / "index.html").read_text()
    assert TARGET in page and (folder / "kept" / "gate.json").exists()
    assert cli.main(["gate", "--from", "a.json", "--out", "kept", "--format", "json"]) == 1
    assert capsys.readouterr().err == "Report: kept/index.html\n"


def test_a_gate_without_targets_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["gate"]) == 3
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(
        "No targets: there is no dropcheck.toml here. Name a target (`dropcheck gate mine.py:MyDropout`) or create a policy "
        "(`dropcheck init`)."
    )
    (tmp_path / "dropcheck.toml").write_text("version = 1\n")
    assert cli.main(["gate"]) == 3
    assert capsys.readouterr().out.startswith("No targets: dropcheck.toml names none.")


def test_an_audit_of_the_gate_carries_its_level(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dropcheck.auditing import run as auditing

    asked: list[Any] = []

    def run(request: Any, progress: Any = None) -> Result:
        asked.append(request.fail_on)
        return audit(source=SOURCE, request=Request(fail_on=request.fail_on))

    monkeypatch.setattr(auditing, "run", run)
    assert cli.main(["gate", "--fail-on", "defect"]) in (0, 3) and asked == ["defect"]


def test_defects_come_first_and_take_what_nothing_else_explains() -> None:
    behind = finding("mask.patterns", "skipped", message=f"{NOT_INTERPRETABLE} while form.ranks fails: x")
    made = gate(audit(EDGE, DEFECT, behind))
    text = render(made, "text")
    assert text.index("✗ mask.distinct-calls") < text.index("~ rate.one")
    hides = {one.check: "--hides mask.patterns" in one.accept for one in lines(made, "fail")}
    assert hides == {"mask.distinct-calls": True, "rate.one": False}
