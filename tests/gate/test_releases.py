"""No wrong release: what is adopted or accepted covers what was seen, nothing that got worse passes, nothing missing passes."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits.gate import FILE, NOW, SOURCE, TARGET, audit, both, finding, gate, lines

from dropcheck import cli
from dropcheck.gate import writing
from dropcheck.gate.accepting import SLACK
from dropcheck.gate.formats import register as formats
from dropcheck.gate.policy import NOT_JUDGED
from dropcheck.gate.waivers import WITH_INTERVAL, deviation
from dropcheck.judge.verdicts import interpret
from dropcheck.results import audit as results
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding, Result, Verdict

NAMED = f'targets = ["{TARGET}"]\n'
FAR = datetime.date(2099, 1, 1)
CASES = ("rate=0.3 5,5,5 calls=64", "rate=0.9 1,65,1 calls=64")
HIDDEN = ("rate.marginal", "rate.per-channel", "mask.patterns")


def policy_of(result: Result, text: str = "version = 1\n" + NAMED) -> str:
    """The policy after ``waive --from``, without its version."""
    made, _ = writing.with_waivers(text, "dropcheck.toml", writing.present_state(result, FAR, "as it is"), False)
    return made.removeprefix("version = 1\n")


def frozen() -> Result:
    """A layer whose mask is stored: four checks cannot be judged beside it."""
    bad, hidden = [], []
    for dtype in ("float32", "float64"):
        case = f"{dtype} {CASES[0]}"
        bad.append(finding("mask.distinct-calls", "fail", case, estimate=63.0, expected=0.0))
        text = f"{NOT_INTERPRETABLE} mask.distinct-calls fails: coins drop with probability 0.3"
        hidden += [finding(c, "skipped", case, message=text, estimate=0.3, expected=0.3) for c in HIDDEN]
    return audit(*bad, *hidden)


def off(share: float, check: str = "rate.marginal", dtypes: tuple[str, ...] = ("float32", "float64")) -> Result:
    """A layer whose rate is wrong by so much."""
    numbers = {"estimate": 0.3 + share, "expected": 0.3, "fail_interval": (0.29 + share, 0.31 + share)}
    return audit(*(finding(check, "fail", f"{d} {CASES[0]}", **numbers) for d in dtypes))


def test_a_state_that_hides_checks_is_adopted_and_a_defect_behind_it_does_not_ship() -> None:
    toml = policy_of(frozen())
    made = gate(frozen(), toml=toml)
    assert made.exit_code == 0
    assert made.headline == (
        "Gate passed with 2 accepted failures (1 check in 1 target) and 3 accepted skipped checks "
        "(3 checks in 1 target)."
    )
    # the mask is corrected, the rate is 30 % too high
    wrong = gate(off(0.09), toml=toml)
    assert wrong.exit_code == 1 and {one.check for one in lines(wrong, "fail")} == {"rate.marginal"}
    assert gate(audit(), toml=toml).exit_code == 0


@pytest.mark.parametrize("name", formats.FORMATS)
def test_no_format_says_that_everything_holds_above_accepted_failures(name: str) -> None:
    for result in (frozen(), off(0.01)):
        shown = " ".join(formats.render(gate(result, toml=policy_of(result)), name).split())
        assert "Gate passed with 2 accepted failures" in shown and "all required" not in shown
    tolerated = gate(off(0.01), toml=NAMED + "[tolerances]\n'rate.marginal' = 0.1\n")
    shown = formats.render(tolerated, name)
    assert tolerated.exit_code == 0 and "2 failures within a tolerance (1 check in 1 target)" in shown


def test_a_target_with_accepted_failures_has_no_tick() -> None:
    shown = formats.render(gate(frozen(), toml=policy_of(frozen())), "text")
    assert f"✓ {TARGET}" not in shown and f"· {TARGET}: " in shown
    assert f"✓ {TARGET}" in formats.render(gate(audit()), "text")


@pytest.mark.parametrize(
    ("check", "before", "after"),
    [
        ("rate.marginal", {"estimate": 0.32, "expected": 0.3, "fail_interval": (0.31, 0.33)}, {"estimate": 0.4}),
        ("scale.kept-values", {"estimate": 0.01, "expected": 0.0}, {"estimate": 0.5}),
        ("form.strides", {}, {"estimate": 3.0, "expected": 0.0}),
    ],
)
def test_what_is_adopted_covers_the_failure_that_was_seen_and_no_worse_one(
    check: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    result = audit(finding(check, "fail", **before))
    toml = policy_of(result)
    assert gate(result, toml=toml).exit_code == 0
    worse = audit(finding(check, "fail", **{**before, **after}))
    assert gate(worse, toml=toml).exit_code == 1


# --- the printed command ------------------------------------------------------------------------------------------------

ODD = ("torch.Dropout1d@compiled", "it's mine.py:Drop[1]*", "a b.py:net#enc.0.drop@compiled with torch==2.4.1")


def several() -> Result:
    """Failing layers: several dtypes and cases, modes, names to be quoted, hidden checks, failures without a number."""
    parts = [frozen(), msgspec.structs.replace(off(0.03), argv=["audit"])]
    names = [TARGET, ODD[0]]
    more = [finding("rate.rejects-invalid", "fail", "rate -0.1"), finding("rate.one", "fail", "float32 rate=1")]
    more += [finding("rate.one", "fail", f"{d} rate=1", estimate=1.0, expected=0.0) for d in ("float64", "bfloat16")]
    parts += [audit(*more), audit(*more[:1], *frozen().targets[0].findings[-8:])]
    names += ODD[1:]
    renamed = []
    for name, part in zip(names, parts, strict=True):
        # what follows from a failure is not judged, as an audit leaves it
        found = interpret(part.targets[0].findings)
        one = msgspec.structs.replace(part.targets[0], target=name, source=SOURCE, findings=found)
        renamed.append(msgspec.structs.replace(part, targets=[one]))
    made = msgspec.structs.replace(both(*renamed), argv=["audit", "all"])
    return msgspec.structs.replace(made, environment={**made.environment, "time": NOW.isoformat()})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "it's mine.py", "a b.py"):
        (tmp_path / name).write_bytes(FILE)
    results.save(several(), tmp_path / "r.json")
    return tmp_path


def decided(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = cli.main(["gate", "--from", "r.json", "--format", "json", *words])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("where", [(), ("--policy", "my policy.toml")])
@pytest.mark.parametrize("preset", ["default", "strict"])
def test_the_printed_commands_accept_what_they_stand_below(
    folder: Path, capsys: pytest.CaptureFixture[str], where: tuple[str, ...], preset: str
) -> None:
    name = where[1] if where else "dropcheck.toml"
    loose = 'max_age = "9999d"\nprofile = "quick"\ntraits = false\n' if preset == "strict" else ""
    (folder / name).write_text(f'version = 1\npreset = "{preset}"\n{loose}')
    code, made = decided(capsys, *where)
    against = [one for one in made["lines"] if one["counts"] in ("fail", "missing")]
    assert code == 1 and against and all(one["accept"] for one in against)
    for command in dict.fromkeys(one["accept"] for one in against):
        words = shlex.split(command)
        assert words[0] == "dropcheck" and cli.main(words[1:]) == 0, command
        capsys.readouterr()
    code, made = decided(capsys, *where)
    assert code == 0, made["headline"]
    assert made["headline"].startswith("Gate passed with ") and "all required" not in made["headline"]


def test_each_group_of_the_text_is_accepted_by_the_one_command_below_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["gate", "--from", "r.json"]) == 1
    commands = re.findall(r"^  accept +(dropcheck waive .+)$", capsys.readouterr().out, re.M)
    for number, command in enumerate(commands):
        assert cli.main(shlex.split(command)[1:]) == 0
        capsys.readouterr()
        code, made = decided(capsys)
        fails = {(one["target"], one["check"]) for one in made["lines"] if one["counts"] == "fail"}
        assert len(fails) == len(commands) - number - 1 and code == (1 if fails else 0)


def test_one_printed_command_accepts_all_of_a_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, made = decided(capsys)
    assert made["accept"].startswith("dropcheck waive --from r.json ")
    assert cli.main(shlex.split(made["accept"])[1:]) == 0
    capsys.readouterr()
    assert decided(capsys)[0] == 0


def test_no_command_accepts_missing_evidence() -> None:
    made = gate(audit(finding("rate.marginal", "inconclusive")), toml='on_missing = "fail"\n' + NAMED)
    assert made.exit_code == 1 and not lines(made, "fail")[0].accept and not made.accept


# --- any layer, any defect, any correction ------------------------------------------------------------------------------

CHECKS = ("mask.distinct-calls", "rate.marginal", "scale.kept-values", "form.strides")
DTYPES = ("float32", "float16")
PLACES = tuple(itertools.product(CHECKS, DTYPES, CASES))
Place = tuple[str, str, str]


@st.composite
def found(draw: st.DrawFn, place: Place) -> Finding | None:
    """What became of one check in one case; None: nothing is there."""
    check, dtype, case = place
    verdict: Verdict | None = draw(
        st.sampled_from(["pass", "pass", "fail", "fail", "hidden", "skipped", "inconclusive", "error", None])
    )
    if verdict is None:
        return None
    numbers: dict[str, Any] = {}
    if draw(st.booleans()):
        far = draw(st.floats(1e-6, 1.0))
        numbers = {"estimate": far, "expected": 0.0}
        if check in WITH_INTERVAL or draw(st.booleans()):
            numbers["fail_interval"] = (far * 0.9, far * draw(st.floats(1.0, 2.0)))
    if verdict == "hidden":
        text = f"{NOT_INTERPRETABLE} mask.whole-channels fails: 0.3"
        return finding(check, "skipped", f"{dtype} {case}", message=text, **numbers)
    return finding(check, verdict, f"{dtype} {case}", **numbers)


@st.composite
def layers(draw: st.DrawFn) -> Result:
    """A result: the places that are drawn, every other check passes."""
    some = [one for place in PLACES if (one := draw(found(place))) is not None]
    base = audit(*(finding(c, "pass") for c in CHECKS))
    rest = [f for f in base.targets[0].findings if f.check not in CHECKS]
    error = draw(st.sampled_from([None] * 9 + ["killed by SIGSEGV"]))
    verdict = results.verdict_of([*rest, *some], error)
    one = msgspec.structs.replace(base.targets[0], findings=[*rest, *some], error=error, verdict=verdict)
    return msgspec.structs.replace(base, targets=[one], verdict=results.overall([verdict]))


def open_ends(result: Result) -> bool:
    """Whether something that is required is missing, inconclusive or broken."""
    one = result.targets[0]
    judged = {f.check for f in one.findings}
    return (
        one.error is not None
        or not judged.issuperset(CHECKS)
        or any(f.verdict in ("inconclusive", "error") for f in one.findings)
    )


def worst(result: Result, check: str, dtype: str) -> tuple[float, bool]:
    """The largest deviation among the failures of a check in a dtype, and whether one has no number: read as a person would."""
    far, bare = 0.0, False
    for one in result.targets[0].findings:
        if one.check == check and one.case.startswith(dtype) and one.verdict == "fail":
            if one.fail_interval is not None:
                size = deviation(one)
            elif check in WITH_INTERVAL or one.estimate is None:
                size = None
            else:
                size = abs(one.estimate)
            far, bare = (far, True) if size is None else (max(far, size), bare)
    return far, bare


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(before=layers(), after=layers())
def test_nothing_that_got_worse_beyond_its_ceiling_and_nothing_that_is_missing_ships(
    before: Result, after: Result
) -> None:
    toml = policy_of(before)
    assert gate(before, toml=toml).exit_code == (3 if open_ends(before) else 0)
    made = gate(after, toml=toml)
    if open_ends(after):
        assert made.exit_code != 0
    for check, dtype in itertools.product(CHECKS, DTYPES):
        (old, old_bare), (new, new_bare) = worst(before, check, dtype), worst(after, check, dtype)
        if new > old * SLACK * 1.002 or (new_bare and not old_bare):
            assert made.exit_code == 1, (check, dtype)
    hidden = [f for f in after.targets[0].findings if f.message.startswith(NOT_INTERPRETABLE)]
    known = {
        (f.check, f.case.split()[0]) for f in before.targets[0].findings if f.message.startswith(NOT_INTERPRETABLE)
    }
    if any((f.check, f.case.split()[0]) not in known for f in hidden):
        assert made.exit_code != 0
    if made.exit_code == 0:
        accepted = any(f.verdict == "fail" for f in after.targets[0].findings) or bool(hidden)
        assert ("all required checks pass" in made.headline) == (not accepted)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(before=layers(), kinds=st.lists(st.sampled_from(["failure", NOT_JUDGED]), min_size=1, max_size=3))
def test_a_waiver_of_one_kind_never_accepts_the_other(before: Result, kinds: list[str]) -> None:
    checks = [CHECKS[i % len(CHECKS)] for i in range(len(kinds))]
    rows = [
        f'[[waiver]]\ncheck = "{c}"\ntarget = "*"\nreason = "r"\nexpires = 2099-01-01\nof = "{k}"\n'
        for c, k in zip(checks, kinds, strict=True)
    ]
    made = gate(before, toml=NAMED + "".join(rows))
    for one in lines(made, "waived"):
        kind = NOT_JUDGED if one.message.startswith("skipped") else "failure"
        assert (one.check, kind) in zip(checks, kinds, strict=True)
