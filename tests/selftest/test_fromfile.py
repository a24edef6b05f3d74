"""A red team's file: its table is read, its layers are audited against it, and a miss gets the case that would have caught it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dropcheck.commands import selftest as command
from dropcheck.contract.errors import UsageError
from dropcheck.report import selftest as report
from dropcheck.results import selftest as records
from dropcheck.results.audit import Finding
from dropcheck.selftest import expected, fromfile

LAYERS = """
    def good(x, rate, *, training, rng):
        if not training or rate == 0:
            return x
        kept = rng.random(x.shape[:2]) >= rate
        return (x * kept[:, :, None] * x.dtype.type(1 / (1 - rate))).astype(x.dtype)

    def shared(x, rate, *, training, rng):
        kept = rng.random((1, x.shape[1])) >= rate
        return (x * kept[:, :, None] * x.dtype.type(1 / (1 - rate))).astype(x.dtype)

    def halved_at_4096(x, rate, *, training, rng):
        return good(x, rate / 2 if len(x) == 4096 else rate, training=training, rng=rng)
"""
FEW = '"select": ["mask.whole-channels", "mask.distinct-samples", "rate.marginal"], "dtype": "float32", "rate": 0.5'
MASKS = FEW.replace(', "rate.marginal"', "")  # a rate takes a million decisions to measure
TABLE = f"""
    EXPECTED = {{
        "good": {{"check": None, {MASKS}}},
        "shared": {{"check": ["mask.whole-channels", "mask.distinct-samples"], {MASKS}}},
        "halved_at_4096": {{"check": "rate.marginal", {FEW}}},
    }}
"""
Write = Callable[[str, str], Path]


def found(check: str, case: str, verdict: Any = "fail") -> Finding:
    return Finding(check=check, case=case, verdict=verdict, message="x")


def rows(path: Path) -> dict[str, expected.Expected]:
    return {one.layer: one for one in expected.read(path)}


def executed(path: Path, **more: Any) -> tuple[records.SelfTest, int]:
    return command.execute(from_file=path, jobs=1, **{"part": ("zoo",), **more})


def test_caught_passed_and_missed_with_the_case_that_catches(call: Callable[..., Any], write: Write) -> None:
    write("layers.py", LAYERS + TABLE)
    ran = call("selftest", "--part", "zoo", "--from", "layers.py", "--jobs", "1", "--json", "s.json", "--out", "told")
    assert ran.code == 1, ran.err
    assert ran.out.startswith("2 of 3 audits of the layers of layers.py give what its table expects.")
    assert "1 of 2 wrong layers detected; missed: halved_at_4096; 1 of 1 correct layer passed" in ran.out
    assert "would have detected it: float32 rate=0.2 4096,4,2 calls=4 (65,536 decisions) fails rate.marginal" in ran.out
    result = records.load(ran.folder / "s.json")
    assert result.from_file is not None and result.verdict == "fail"
    assert [(one.layer, one.outcome) for one in result.from_file.judged] == [
        ("good", "passes"),
        ("shared", "caught"),
        ("halved_at_4096", "missed"),
    ]
    (sought,) = result.from_file.sought
    again = call(
        *sought.command.split(maxsplit=1)[1].replace("'", "").split(" --case ")[0].split(), "--case", sought.case
    )
    assert again.code == 1 and "rate.marginal" in again.out
    text = (ran.folder / "told" / "report.md").read_text()
    assert "| halved_at_4096 | quick | rate.marginal | MISSED |" in text
    assert "What would have detected the missed layers" in (ran.folder / "told" / "index.html").read_text()
    assert not list(ran.folder.glob("*.journal*"))
    assert call("report", "s.json").code == 1


def test_forms_of_a_table(write: Write) -> None:
    source = """
        class A: pass
        class B(A): pass
        c = d = A
        from other import E as e
        expected: dict = {
            "A": None, "B": "passes", "c": ["mask", "mode.inference"], "d.method": {"all": ["mask", "scale"]},
            "e@jax": {"check": "fail", "pattern": "t b h -> b h", "strict": True, "rate": [0.2, 0.3]},
        }
    """
    table = rows(write("forms.py", source))
    assert table["A"].correct and table["B"].correct
    assert table["c"].met(["mode.inference"]) and table["c"].met(["mask.patterns"])
    assert not table["c"].met(["mode.toggle"]) and table["c"].words == "mask or mode.inference"
    assert table["d.method"].met(["scale.mean", "mask.patterns"]) and not table["d.method"].met(["scale.mean"])
    assert table["e@jax"].met(["form.empty"]) and table["e@jax"].words == "any failure"
    asked = expected.request(Path("forms.py"), table["e@jax"], "quick", 7)
    assert (asked.targets, asked.pattern, asked.rates, asked.strict) == (
        ("forms.py:e@jax",),
        "t b h -> b h",
        (0.2, 0.3),
        True,
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("", "has no table EXPECTED at its top level"),
        ("EXPECTD = {'good': None}", "the nearest is 'EXPECTD'"),
        ("EXPECTED = {'god': None}", "names 'god', which is not in the file; the nearest is 'good'"),
        ("EXPECTED = {'good': 'mask.distinct-call'}", "no check; .* the nearest is 'mask.distinct-calls'"),
        ("EXPECTED = {'good': 3}", "is int 3; expected a check such as"),
        ("EXPECTED = {3: None}", "names its layers by text"),
        ("EXPECTED = ['good']", "is list .*; expected a dict of layers"),
        ("EXPECTED = {}", "is dict {}; expected a dict of layers"),
        ("EXPECTED = dict(good=None)", "line 15: EXPECTED must be written out"),
        (
            "EXPECTED = {'good': {'check': None, 'patern': 'n -> n'}}",
            "unknown key 'patern'; .* the nearest is 'pattern'",
        ),
        ("EXPECTED = {'good': {'pattern': 'n c -> n c'}}", "needs one of 'check'"),
        ("EXPECTED = {'good': {'all': []}}", "is list \\[\\]; expected a check"),
        ("EXPECTED = {'good': {'all': None}}", "'all' needs at least one check"),
        ("EXPECTED = {'good': {'check': None, 'pattern': 'n c l > n'}}", r"EXPECTED\['good'\]: .*'n c l > n'"),
        ("EXPECTED = {'good': {'check': None, 'dtype': 'flaot32'}}", "the nearest is 'float32'"),
        ("EXPECTED = {'good': {'check': None, 'rate': '0.5'}}", "'rate' is str '0.5'; expected a rate such as 0.3"),
        ("EXPECTED = {'good': {'check': None, 'strict': 'yes'}}", "'strict' is str 'yes'; expected True or False"),
        (
            "EXPECTED = {'good': {'check': 'scale', 'select': 'mask'}}",
            "expects 'scale', which its 'select' or 'ignore'",
        ),
        ("EXPECTED = {'good': None", "is no Python file, line 15: "),
    ],
)
def test_a_table_that_cannot_be_used_gets_one_sentence(write: Write, table: str, sentence: str) -> None:
    path = write("layers.py", LAYERS + "\n    " + table)
    with pytest.raises(UsageError, match=sentence) as refused:
        executed(path)
    assert "\n" not in str(refused.value) and "layers.py" in str(refused.value)


def test_options_that_do_not_go_together_get_one_sentence(call: Callable[..., Any], write: Write) -> None:
    write("layers.py", LAYERS + TABLE)
    for words, sentence in (
        (("--from", "layer.py"), "there is no file layer.py; the nearest is 'layers.py'"),
        (("--from", "layers.txt"), "--from takes a Python file"),
        (("--from", "layers.py", "--part", "power,zoo"), "leave out --part power; expected --part zoo"),
        (("--from", "layers.py", "--scale", ".1"), "leave out --scale"),
        (("--search", "9s"), "it goes with --from FILE"),
        (("--from", "layers.py", "--search", "soon"), "--search takes a time such as"),
    ):
        ran = call("selftest", *words)
        assert ran.code == 2 and sentence in ran.err and ran.err.count("\n") == 1, ran.err


def test_findings_become_outcomes() -> None:
    wrong = expected.Expected(layer="A", checks=["mask"])
    right = expected.Expected(layer="B")

    def outcome(one: expected.Expected, *findings: Finding, error: str | None = None) -> str:
        return fromfile.judged(one, "quick", findings, error).outcome

    failed, passed = found("mask.patterns", "float32 rate=0.5 9,9,9 calls=9"), found("mask.patterns", "", "pass")
    assert outcome(wrong, failed) == "caught" and outcome(wrong, found("mode.inference", "exact")) == "other"
    assert (
        outcome(wrong, passed) == "missed" and outcome(right, passed) == "passes" and outcome(right, failed) == "false"
    )
    assert outcome(right, found("mask.patterns", "", "inconclusive"), passed) == "unjudged"
    assert outcome(wrong, error="it raises") == outcome(wrong) == "unjudged"
    larger = found("mask.patterns", "float32 rate=0.5 99,9,9 calls=9")
    assert fromfile.judged(wrong, "quick", [larger, failed], None).failing == {failed.check: failed.case}


def test_what_a_larger_profile_shows_is_not_searched_for() -> None:
    row = expected.Expected(layer="A", checks=["rate.marginal"])
    case = "float32 rate=0.5 9,9,9 calls=9"
    some = [
        fromfile.judged(row, "quick", [found("mode.inference", "exact", "pass")], None),
        fromfile.judged(row, "standard", [found("mode.inference", "exact"), found("rate.marginal", case)], None),
    ]
    (known,), todo = fromfile.searches(Path("x.py"), [row], some, 1, 60.0)
    assert not todo and (known.profile, known.case, known.check, known.place) == (
        "quick",
        case,
        "rate.marginal",
        "the profile standard",
    )
    _, (item,) = fromfile.searches(Path("x.py"), [row], some[:1], 1, 60.0)
    assert item.arguments["profile"] == "quick" and item.arguments["limit_s"] == 60.0


def test_an_interrupted_run_tells_what_is_finished_and_is_resumed(
    monkeypatch: pytest.MonkeyPatch, write: Write, tmp_path: Path
) -> None:
    path = write("layers.py", LAYERS + "\n    EXPECTED = {'good': None, 'shared': 'mask', 'halved_at_4096': 'fail'}")
    asked: list[str] = []

    def audited(path: str, row: dict[str, Any], profile: str, seed: int, digest: str) -> Any:
        one = msgspec.convert(row, expected.Expected)
        asked.append(one.layer)
        if len(asked) == 2:
            raise KeyboardInterrupt
        some = [] if one.correct else [found("mask.patterns", "exact")]
        return msgspec.to_builtins(fromfile.judged(one, profile, [*some, found("rate.zero", "exact", "pass")], None))

    monkeypatch.setattr(fromfile, "audited", audited)
    result, code = executed(path, json_file=tmp_path / "s.json")
    assert code == 130 and report.summary(result).startswith("Interrupted: all 1 audits")
    assert records.load(tmp_path / "s.json").from_file.judged[0].layer == "good"  # type: ignore[union-attr]
    result, code = executed(path, json_file=tmp_path / "s.json", resume=True)
    assert code == 0 and asked == ["good", "shared", "shared", "halved_at_4096"]
    assert not list(tmp_path.glob("*.journal*"))
    # an edited file is another one
    asked.clear()
    executed(path, json_file=tmp_path / "s.json", profile=("quick",))
    asked[:] = ["x"]
    result, code = executed(path, json_file=tmp_path / "s.json")
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UsageError, match="other options"):
        executed(path, json_file=tmp_path / "s.json", resume=True)


def test_nothing_that_can_be_judged_is_exit_code_2() -> None:
    row = expected.Expected(layer="A", checks=["mask"])
    told = records.FromFile(path="x.py", judged=[fromfile.judged(row, "quick", [], "x.py raises ImportError")])
    result = fromfile.conclude(told, ["quick"], 1, 0.0, [])
    assert command.exit_code(result) == 2
    assert report.headline(result) == "Nothing was measured: A: x.py raises ImportError."
