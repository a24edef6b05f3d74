"""The field report: cells from findings, failures told once and explained, pages that hold what the result holds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.report import reproduction
from dropcheck.report.field import command, confirming, report
from dropcheck.report.field.cells import Failure, by_evidence, failures, row, rows
from dropcheck.report.field.deviations import Deviation, explained
from dropcheck.report.field.earlier import today
from dropcheck.report.field.report import Confirmation
from dropcheck.report.reproduction import Confirmed
from dropcheck.results.audit import Finding, Result, ResultError, TargetResult, Timing
from dropcheck.results.naming import dtype_of, split_name


def finding(check: str, case: str, verdict: str = "pass", evidence: float | None = None, text: str = "") -> Finding:
    return Finding(check=check, case=case, verdict=verdict, message=text, log10_evidence=evidence)  # type: ignore[arg-type]


def target(name: str, *some: Finding, verdict: str = "pass", skipped: str | None = None) -> TargetResult:
    return TargetResult(
        target=name,
        framework="f",
        version="1.0",
        contract={},
        verdict=verdict,  # type: ignore[arg-type]
        timing=Timing(),
        traits={},
        findings=list(some),
        skipped=skipped,
    )


BAD = "a <script>alert(1)</script> | rate\nof .0079, `**fat**` and [a](b)"


def field() -> Result:
    return Result(
        verdict="fail",
        environment={"python": "3.11"},
        argv=[],
        profile="quick",
        seed=1,
        alpha=1e-6,
        beta=1e-6,
        targets=[
            target(
                "a.Dropout", finding("rate.marginal", "float32 rate=.3 1,2,3 calls=4"), finding("rate.one", "float16 x")
            ),
            target(
                "a.Dropout@jit",
                finding("rate.marginal", "float16 rate=.3 1,2,3 calls=4", "fail", -20.0, BAD),
                finding("rate.marginal", "float16 rate=.1 1,2,3 calls=4", "fail", -200.0, BAD),
                finding("rate.marginal", "float32 rate=.1 1,2,3 calls=4"),
                finding("rate.rejects-invalid", "rate=1.5", "fail", None, "obeyed"),
                verdict="fail",
            ),
            target("b.Dropout", skipped="b is not installed: pip install b", verdict="skipped"),
        ],
    )


def test_a_name_is_an_implementation_and_a_mode() -> None:
    assert split_name("keras.SpatialDropout1D@jax@jit") == ("keras.SpatialDropout1D@jax", "jit")
    assert split_name("torch.Dropout1d") == ("torch.Dropout1d", "eager")


def test_a_cell_is_the_worst_of_its_dtype_and_holds_each_failing_check_once() -> None:
    table = rows(field())
    jit = table[1].cells
    assert {d: c.verdict for d, c in jit.items()} == {"float32": "pass", "float16": "fail", "any": "fail"}
    (one,) = jit["float16"].failures
    assert (one.check, one.cases, one.finding.log10_evidence) == ("rate.marginal", 2, -200.0)
    assert [r.ran for r in table] == [True, True, False]
    assert len(failures(table)) == 2


def test_an_exact_finding_is_stronger_than_any_probability() -> None:
    exact = finding("form.shape-dtype", "float32 rate=0", "fail")
    assert by_evidence([finding("x", "float32 a", "fail", -400.0), exact])[0] is exact


def test_findings_without_a_dtype_have_a_column_of_their_own() -> None:
    assert dtype_of(finding("rate.rejects-invalid", "rate=-0.1")) == "any"


def test_a_deviation_explains_only_what_it_names() -> None:
    one = Deviation(targets=("a.*",), checks=("rate.*",), reason="because", dtypes=("float16",), modes=("jit",))
    first, second = failures(rows(field()))
    assert [explained(f, [one]) for f in (first, second)] == [one, None]
    elsewhere = Failure("a.Dropout", first.check, first.dtype, first.findings)
    assert explained(elsewhere, [one]) is None


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))


def written(out: Path) -> list[report.Group]:
    known = [
        Deviation(
            targets=("a.*",),
            checks=("rate.marginal",),
            reason="drawn in the dtype of the input",
            links=("https://example.org/1",),
        )
    ]
    result = field()
    said = command.confirmed(
        result,
        out,
        lambda some, path: {
            f.dtype: Confirmation(f"scripts/{path.name}", f.check == "rate.marginal", BAD, f.finding.case) for f in some
        },
        lambda _: None,
    )
    return command.write(result, said, known, out, "dropcheck field --out x")


def test_both_pages_tell_every_failure_its_reason_and_its_confirmation(tmp_path: Path) -> None:
    told = written(tmp_path)
    assert [(g.check, g.known is not None) for g in told] == [("rate.marginal", True), ("rate.rejects-invalid", False)]
    page, text = (tmp_path / "index.html").read_text(), (tmp_path / "README.md").read_text()
    for one in (page, text):
        assert "1 of 2 combinations" in one
        assert "1 of 2 failing checks" in one
        assert "must be doubted" in one
        assert "drawn in the dtype of the input" in one
        assert "not known yet" in one
        assert "pip install b" in one
    assert "**Not confirmed**" in text
    parsed = _Text()
    parsed.feed(page)
    assert "script" not in parsed.tags
    assert len(parsed.ids) == len(set(parsed.ids))
    inside = [link[1:] for link in parsed.links if link.startswith("#")]
    assert set(inside) <= set(parsed.ids)
    rows_of_table = [line for line in text.splitlines() if line.startswith("| a.Dropout")]
    assert len({line.count(" | ") for line in rows_of_table}) == 1  # a bar in a message adds no column


def test_both_pages_tell_a_device_that_is_not_the_processor(tmp_path: Path) -> None:
    for words, shown in (([], False), (["--device", "cuda"], True)):
        result = msgspec.structs.replace(field(), asked=list(words))
        command.write(result, {}, [], tmp_path, "dropcheck field --out x")
        for name in ("index.html", "README.md"):
            assert (", device cuda, root seed" in (tmp_path / name).read_text()) == shown


def test_what_the_control_shows_too_is_told_apart(tmp_path: Path) -> None:
    def confirm(some: Sequence[Failure], path: Path) -> dict[str, Confirmation]:
        kind = some[0].check == "rate.marginal"
        return {
            f.dtype: Confirmation("scripts/a.py", kind, "seen", "", control="as it is", same=not kind) for f in some
        }

    spoken: list[str] = []
    said = command.confirmed(field(), tmp_path, confirm, spoken.append)
    told = command.write(field(), said, [], tmp_path, "dropcheck field --out x")
    assert [line.rpartition(": ")[2] for line in spoken] == ["confirmed", "the control shows it too"]
    sentence = report.confirmation(told)
    assert "1 of 2 failing checks" in sentence and "control, a correct layer in the same place, passes" in sentence
    assert "1 is shown by the control too, and so of the framework and not of the layer." in sentence
    assert "doubted" not in sentence
    for name in ("index.html", "README.md"):
        page = (tmp_path / name).read_text().lower()
        assert "the control shows it too" in page and "as it is" in page
    assert {one.same for one in command.read(tmp_path)[1].values()} == {True, False}
    # it is told once, of the library, and is no failure of a cell
    (of_all,) = [g for g in told if g.shared]
    assert (of_all.implementation, of_all.check, of_all.places) == ("a", "rate.rejects-invalid", "a.Dropout@jit: any")
    shared = report.of_frameworks(told)
    assert shared == {("a.Dropout@jit", "rate.rejects-invalid", "any")}
    table = rows(field(), shared)
    assert (table[1].cells["any"].verdict, table[1].cells["any"].shared) == (None, ("rate.rejects-invalid",))
    assert table[1].verdict == "fail" and "in 1 of 4 cells" in report.headline(table)
    text = (tmp_path / "README.md").read_text()
    assert "What frameworks do to every layer" in text and "(the framework's: rate.rejects-invalid)" in text
    counts = {c.check: (c.passing, c.failing, c.shared) for c in report.claims(field(), shared)}
    assert counts == {"rate.marginal": (1, 1, 0), "rate.one": (1, 0, 0), "rate.rejects-invalid": (0, 0, 1)}
    rows_of = json.loads((tmp_path / "confirmations.json").read_text())
    older = [{k: v for k, v in row.items() if k not in ("control", "same")} for row in rows_of]
    (tmp_path / "confirmations.json").write_text(json.dumps(older))
    assert {(one.control, one.same) for one in command.kept(tmp_path).values()} == {("", False)}


def test_messages_are_no_markup_in_markdown(tmp_path: Path) -> None:
    written(tmp_path)
    text = (tmp_path / "README.md").read_text()
    for line in text.splitlines():
        outside = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", line)  # in a code span nothing is markup
        assert "<script>" not in outside and "**fat**" not in outside and "[a](b)" not in outside, line
    assert "&lt;script&gt;alert(1)" in text and r"\*\*fat\*\*" in text
    assert "<script>alert(1)</script> | rate" in text and "`` a <script>" in text  # what a script said, as code


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    written(tmp_path)
    result, said = command.read(tmp_path)
    assert result.argv == ["field", "--out", "x"]
    assert result.targets == field().targets and result.verdict == "fail"
    assert {key: one.confirmed for key, one in said.items()} == {
        ("a.Dropout@jit", "rate.marginal", "float16"): True,
        ("a.Dropout@jit", "rate.rejects-invalid", "any"): False,
    }
    (tmp_path / "result.json.xz").write_bytes(b"damaged")
    with pytest.raises(ResultError, match=r"result\.json\.xz"):
        command.read(tmp_path)


def test_scripts_stay_inside_the_folder(tmp_path: Path) -> None:
    nasty = target("../../x/y.py:La<yer>", finding("rate.one", "float32 rate=1", "fail"), verdict="fail")
    seen: list[Path] = []

    def confirm(some: Sequence[Failure], path: Path) -> dict[str, Confirmation]:
        seen.append(path)
        return {f.dtype: Confirmation(path.name, None, "") for f in some}

    result = field()
    command.confirmed(
        Result(**{**{k: getattr(result, k) for k in result.__struct_fields__}, "targets": [nasty]}),
        tmp_path,
        confirm,
        print,
    )
    assert seen[0].parent == tmp_path / "scripts"


def confirmable() -> tuple[Result, list[Failure]]:
    """One check that fails in two dtypes, two findings in one of them."""
    one = target(
        "torch.Dropout1d",
        finding("rate.marginal", "float32 rate=0.3 9,8,2 calls=4", "fail", -200.0),
        finding("rate.marginal", "float32 rate=0.1 9,8,2 calls=4", "fail", -20.0),
        finding("rate.marginal", "float16 rate=0.3 9,8,2 calls=4", "fail", -20.0),
        verdict="fail",
    )
    contract = Contract(pattern=Pattern.parse("n c l -> n c"), seeds=("global",))
    fields = {k: getattr(one, k) for k in one.__struct_fields__} | {
        "framework": "torch",
        "contract": contract.to_dict(),
    }
    base = {k: getattr(field(), k) for k in field().__struct_fields__}
    result = Result(**{**base, "targets": [TargetResult(**fields)]})
    return result, failures(rows(result))


def listening(monkeypatch: pytest.MonkeyPatch, shows: str) -> list[tuple[str, ...]]:
    """No script is run: those that hold the text ``shows`` are taken to show their defect. What was run, by argument."""
    run: list[tuple[str, ...]] = []

    def told(owner: object, script: str, arguments: Sequence[str] = (), *more: object) -> object:
        run.append(tuple(arguments))
        if shows in script:
            return reproduction.Confirmed(script, "this", "that")
        return reproduction.NotConfirmed(script, "nothing", True)

    monkeypatch.setattr(reproduction, "told", told)
    return run


def test_a_confirmation_is_not_carried_over_from_another_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script of JAX is the same for every device; what it said on one is not said of another."""
    whole, _ = confirmable()
    one = msgspec.structs.replace(whole.targets[0], target="custom.jax", framework="jax")
    asked: list[str] = []

    def told(owner: Any, script: str, *_: Any) -> Confirmed:
        asked.append(script)
        return Confirmed(script, "", "")

    monkeypatch.setattr(reproduction, "told", told)
    known: dict[command.Key, Confirmation] = {}
    for words, runs, device in (("", 2, "cpu"), ("", 0, "cpu"), (" --device cuda", 2, "cuda")):
        found = [msgspec.structs.replace(f, replay=f"dropcheck audit custom.jax{words}") for f in one.findings]
        result = msgspec.structs.replace(whole, targets=[msgspec.structs.replace(one, findings=found)])
        some, path = failures(rows(result)), tmp_path / "scripts" / "x.py"
        asked.clear()
        said = confirming.by_script(result, None, 60.0, known)(some, path)
        assert len(asked) == runs and {c.device for c in said.values()} == {device}
        known = {("custom.jax", "rate.marginal", dtype): c for dtype, c in said.items()}


def test_a_cell_is_confirmed_by_one_of_its_findings_and_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, some = confirmable()
    run = listening(monkeypatch, "rate=0.1")
    path = tmp_path / "scripts" / "a.py"
    said = confirming.by_script(result, None, 9.0)(some, path)
    # the strongest finding in float32 shows nothing, so the next one is tried, in the script that both dtypes share
    assert {d: (c.confirmed, c.case.split()[1], c.script) for d, c in said.items()} == {
        "float32": (True, "rate=0.1", "scripts/a.py"),
        "float16": (True, "rate=0.3", "scripts/a.py"),
    }
    assert run == [("float32",), ("float16",), ("float32",), ("float16",)]
    assert [p.name for p in path.parent.iterdir()] == ["a.py"]
    run.clear()
    before = {("torch.Dropout1d", "rate.marginal", d): c for d, c in said.items()}
    assert confirming.by_script(result, None, 9.0, before)(some, path) == said and run == []
    path.write_text(path.read_text() + "#")  # another script has confirmed nothing yet
    confirming.by_script(result, None, 9.0, before)(some, path)
    assert run == [("float32",), ("float16",)]


def test_a_script_by_hand_is_asked_where_the_others_show_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, some = confirmable()
    listening(monkeypatch, "by hand")
    path = tmp_path / "scripts" / "a.py"
    assert {c.confirmed for c in confirming.by_script(result, None, 9.0)(some, path).values()} == {False}
    hand = tmp_path / "by-hand" / "torch.Dropout1d-rate.marginal.py"
    hand.parent.mkdir()
    hand.write_text("# by hand")
    said = confirming.by_script(result, None, 9.0)(some, path)
    assert {(c.confirmed, c.script) for c in said.values()} == {(True, f"by-hand/{hand.name}")}
    # and where there is no template at all
    monkeypatch.setattr(reproduction, "together", refusing)
    said = confirming.by_script(result, None, 9.0)(some, path)
    assert {(c.confirmed, c.script) for c in said.values()} == {(True, f"by-hand/{hand.name}")}
    hand.unlink()
    said = confirming.by_script(result, None, 9.0)(some, path)
    assert {(c.confirmed, c.output) for c in said.values()} == {(None, "no piece of source")}


def test_what_the_control_shows_is_asked_of_one_finding_of_a_kind_and_not_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, some = confirmable()
    run: list[tuple[str, ...]] = []

    def told(owner: object, script: str, arguments: Sequence[str] = (), *more: object) -> object:
        run.append(tuple(arguments))
        return reproduction.NotConfirmed(script, "this", True, "that")

    monkeypatch.setattr(reproduction, "told", told)
    path = tmp_path / "scripts" / "a.py"
    said = confirming.by_script(result, None, 9.0)(some, path)
    assert run == [("float32",), ("float16",)]  # two findings in float32, which differ in their rate alone
    assert all(c.same and c.confirmed is False for c in said.values())
    before = {("torch.Dropout1d", "rate.marginal", d): c for d, c in said.items()}
    assert confirming.by_script(result, None, 9.0, before)(some, path) == said and len(run) == 2


def refusing(*given: object) -> object:
    raise UsageError("no piece of source")


def test_what_was_confirmed_before_outlives_a_run_that_is_cut_off(tmp_path: Path) -> None:
    result, _ = confirmable()
    two = [*result.targets, *(target("z.Dropout", finding("rate.one", "float32 rate=1", "fail"), verdict="fail"),)]
    result = Result(**{**{k: getattr(result, k) for k in result.__struct_fields__}, "targets": two})
    old = Confirmation("scripts/old.py", True, "seen", "float32 rate=1")
    before = {("z.Dropout", "rate.one", "float32"): old}
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "old.py").write_text("")

    def confirm(some: Sequence[Failure], path: Path) -> dict[str, Confirmation]:
        if some[0].target == "z.Dropout":
            raise KeyboardInterrupt
        return {f.dtype: Confirmation(f"scripts/{path.name}", True, "seen", f.finding.case) for f in some}

    with pytest.raises(KeyboardInterrupt):
        command.confirmed(result, tmp_path, confirm, lambda _: None, 1, before)
    kept = command.kept(tmp_path)
    assert (
        kept["z.Dropout", "rate.one", "float32"] == old
        and kept["torch.Dropout1d", "rate.marginal", "float16"].confirmed
    )
    assert (tmp_path / "scripts" / "old.py").is_file()
    # a run to the end takes away scripts that nothing refers to any more
    new = replace(old, script="scripts/new.py")
    command.confirmed(result, tmp_path, lambda some, path: {f.dtype: new for f in some}, lambda _: None, 1, kept)
    assert not (tmp_path / "scripts" / "old.py").exists()


def test_a_stored_result_is_read_as_a_report_keeps_it(tmp_path: Path) -> None:
    written(tmp_path)
    assert command.stored(tmp_path / "result.json.xz").targets == field().targets
    bad = tmp_path / "bad.json.xz"
    for data, said in (
        (json.dumps({}).encode(), r"bad\.json\.xz has schema None"),
        ((tmp_path / "result.json.xz").read_bytes()[:-9], r"bad\.json\.xz is damaged: its xz data"),
    ):
        bad.write_bytes(data)
        with pytest.raises(ResultError, match=said):
            command.stored(bad)


def test_results_made_elsewhere_take_the_place_of_what_cannot_run_here() -> None:
    result = field()
    away = target("b.Dropout with b==2.0", finding("rate.one", "float32 rate=1"))
    other = Result(**{**{k: getattr(result, k) for k in result.__struct_fields__}, "targets": [away]})
    cannot = [
        target("b.Dropout", skipped="not here", verdict="skipped"),
        target("c.X", skipped="not here", verdict="skipped"),
    ]
    here = Result(**{**{k: getattr(result, k) for k in result.__struct_fields__}, "targets": result.targets[:2]})
    whole = command.joined([here, other], cannot)
    assert [(t.target, row(t).ran) for t in whole.targets] == [
        ("a.Dropout", True),
        ("a.Dropout@jit", True),
        ("b.Dropout with b==2.0", True),
        ("c.X", False),
    ]


def test_what_a_report_does_not_tell_of_is_listed() -> None:
    names = [t.target for t in command.left_out(["torch.Dropout1d", "torch.Dropout1d@in-place"])]
    assert "torch.Dropout1d@autocast" in names and "torch.Dropout2d" in names
    assert not {"torch.Dropout1d", "torch.Dropout1d@in-place"} & set(names)


def test_everything_registered_is_planned_in_every_mode_of_its_framework() -> None:
    can, cannot = command.everything()
    assert {"torch.Dropout1d", "torch.Dropout1d@compiled", "custom.reference"} <= set(can)
    assert all(t.skipped for t in cannot)
    assert len(set(can)) == len(can)


def test_known_deviations_name_registered_implementations_and_checks_that_exist() -> None:
    from fnmatch import fnmatchcase

    from dropcheck.judge.checks import CHECKS
    from dropcheck.plan import targets
    from dropcheck.report.field.deviations import known

    names = [one.name for one in targets.available()]
    for one in known():
        for glob in one.targets:
            assert any(fnmatchcase(name, glob.partition(" with ")[0]) for name in names), glob
        for glob in one.checks:
            assert any(fnmatchcase(check.name, glob) for check in CHECKS), glob
        assert all(link.startswith("https://") for link in one.links)


def test_sentences_of_earlier_releases_are_shown_in_the_words_of_today() -> None:
    assert today("not interpretable while scale.mean fails: 3 coins of 4") == "scale.mean fails first"
    assert today("seed 2 repeats coins of seed 1") == "seed 2 repeats drop decisions of seed 1"
    assert today("rate 1.5 is no probability, yet it is obeyed: all drop") == "rate 1.5 is accepted: all drop"
    assert today("every row drops at .3") == "every row drops at .3"


def test_a_failure_is_told_by_its_cause_with_what_to_change() -> None:
    failing = finding("rate.one", "float32 rate=1", "fail", -9999, "6435 of 6435 are NaN")
    whole = msgspec.structs.replace(field(), targets=[target("a.Dropout", failing, verdict="fail")])
    (group,) = report.diagnosed(whole, report.groups(rows(whole), {}, []))
    assert group.cause is not None and group.cause.lead is failing and group.fix == group.cause.fix != ""
    assert group.fix in report.html(whole, [group], "dropcheck field").replace("&#39;", "'")


def test_what_a_run_leaves_out_is_no_implementation_that_cannot_run_here() -> None:
    from dropcheck.library import audit
    from dropcheck.report import sentences

    ran = audit("custom.reference", select="form.empty", in_process=True, jobs=1)
    absent = command._skipped("far.Layer", "", "far is not installed")
    result = command.joined([ran], [absent, *command.left_out(["custom.reference"])])
    said = sentences.headline(result)
    assert said.startswith("Of 2 implementations, 1 passes all checks, 1 cannot run here. ")
    assert said.endswith(" more are left out of this run.")
