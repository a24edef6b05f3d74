"""Waivers: what each accepts and until when, what is told of those that accept nothing, and how they are written."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from kits.gate import TARGET, TODAY, audit, failing, finding, gate, lines, policy

from dropcheck.gate import decoding, writing
from dropcheck.gate.policy import PolicyError, Waiver, When
from dropcheck.gate.waivers import id_of

NAMED = f'targets = ["{TARGET}"]\n'


def waiver(more: str = "", target: str = TARGET, expires: str = "2027-06-30", check: str = "rate.marginal") -> str:
    """A policy with one waiver."""
    text = f'[[waiver]]\ncheck = "{check}"\ntarget = "{target}"\nreason = "upstream bug"\nexpires = {expires}\n'
    return NAMED + text + more


def test_a_waived_failure_ships_and_stays_visible_with_reason_and_date() -> None:
    made = gate(failing(count=3), toml=waiver('link = "https://example.org/1"\n'))
    assert made.exit_code == 0
    some = lines(made, "waived")
    assert len(some) == 3 and {one.verdict for one in some} == {"waived"}
    stamp = some[0].waiver
    assert stamp is not None and (stamp.reason, stamp.expires, stamp.link) == (
        "upstream bug",
        "2027-06-30",
        "https://example.org/1",
    )
    assert made.headline == "Gate passed with 3 accepted failures (1 check in 1 target)."
    assert some[0].rule == "dropcheck.toml:3: waiver"


@pytest.mark.parametrize(
    ("target", "code"),
    [(TARGET, 0), ("mine.py:*", 0), ("*", 0), ("other.py:*", 1), ("mine.py:Dro", 1), ("MINE.py:*", 1)],
)
def test_the_target_of_a_waiver_is_a_glob(target: str, code: int) -> None:
    assert gate(failing(), toml=waiver(target=target)).exit_code == code


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ('{ dtype = "float32" }', 0),
        ('{ dtype = "float16" }', 1),
        ('{ mode = "eager" }', 0),
        ('{ mode = "compiled" }', 1),
        ('{ device = "cpu" }', 0),
        ('{ device = "cuda" }', 1),
        ('{ dtype = "float32", mode = "eager", device = "cpu" }', 0),
        ('{ dtype = "float32", device = "cuda" }', 1),
    ],
)
def test_a_waiver_holds_where_its_conditions_do(when: str, code: int) -> None:
    assert gate(failing(), toml=waiver(f"when = {when}\n")).exit_code == code


def test_a_waiver_of_a_mode_accepts_that_mode() -> None:
    result = failing(target="torch.Dropout1d@compiled")
    toml = waiver('when = { mode = "compiled" }\n', target="torch.Dropout1d*").replace(
        TARGET, "torch.Dropout1d@compiled", 1
    )
    assert gate(result, toml=toml).exit_code == 0


def test_a_waiver_of_another_check_accepts_nothing() -> None:
    assert gate(failing(), toml=waiver(check="rate.per-channel")).exit_code == 1


def test_a_waiver_accepts_failures_only() -> None:
    for result in (audit(finding("rate.marginal", "inconclusive")), audit(finding("rate.marginal", "error"))):
        assert gate(result, toml=waiver()).exit_code == 3


@pytest.mark.parametrize(("days", "code"), [(-1, 1), (0, 0), (1, 0)])
def test_a_waiver_holds_through_its_last_day(days: int, code: int) -> None:
    expires = (TODAY + datetime.timedelta(days=days)).isoformat()
    made = gate(failing(), toml=waiver(expires=expires))
    assert made.exit_code == code
    if code:
        assert lines(made, "fail")[0].message.endswith(f"waiver rate-marginal-{_tail()} expired on {expires}")


def _tail() -> str:
    return id_of(policy(waiver()).policy.waiver[0]).rpartition("-")[2]


@pytest.mark.parametrize(("days", "warned"), [(0, True), (14, True), (15, False)])
def test_a_waiver_that_ends_within_14_days_is_told(days: int, warned: bool) -> None:
    expires = (TODAY + datetime.timedelta(days=days)).isoformat()
    made = gate(failing(), toml=waiver(expires=expires))
    assert made.exit_code == 0
    assert [note.level for note in made.notes] == (["warning"] if warned else [])


def test_a_waiver_that_matches_nothing_warns_and_fails_in_strict() -> None:
    made = gate(audit(), toml=waiver(target="gone.py:*"))
    assert made.exit_code == 0 and made.notes[0].level == "warning" and "matches nothing" in made.notes[0].message
    strict = gate(audit(), toml='stale_waivers = "fail"\n' + waiver(target="gone.py:*"))
    assert strict.exit_code == 1 and lines(strict, "fail")[0].check == "gate.waiver"
    assert policy('preset = "strict"').policy.stale_waivers == "fail"


def test_a_waived_check_that_passes_is_told_and_one_that_was_not_judged_too() -> None:
    made = gate(audit(), toml=waiver())
    assert made.exit_code == 0 and "is not needed" in made.notes[0].message and made.notes[0].level == "note"
    made = gate(audit(finding("rate.marginal", "skipped")), toml=waiver())
    assert "is skipped" in made.notes[0].message


@pytest.mark.parametrize(("ceiling", "code"), [(0.05, 0), (0.031, 0), (0.029, 1), (0.001, 1)])
def test_a_ceiling_holds_as_far_as_the_interval_of_the_deviation_does(ceiling: float, code: int) -> None:
    made = gate(failing(), toml=waiver(f"ceiling = {ceiling}\n"))
    assert made.exit_code == code
    if code:
        assert "above the ceiling" in lines(made, "fail")[0].message


def test_a_ceiling_accepts_nothing_that_has_no_deviation() -> None:
    made = gate(audit(finding("form.strides", "fail")), toml=waiver("ceiling = 5.0\n", check="form.strides"))
    assert made.exit_code == 1 and "has no deviation" in lines(made, "fail")[0].message


def test_the_name_of_a_waiver_outlives_its_date_and_its_reason() -> None:
    one = policy(waiver()).policy.waiver[0]
    other = policy(waiver(expires="2028-01-01").replace("upstream bug", "still there")).policy.waiver[0]
    assert one.id == other.id == id_of(one)
    assert policy(waiver('when = { dtype = "float16" }\n')).policy.waiver[0].id != one.id


COMMENTED = """# our gate
version = 1 # of the policy

targets = [
  "a",  # the old one
  "b",
]

# known upstream
[[waiver]]
check = "rate.one"
target = "a"
reason = "known"
expires = 2027-01-01 # ask again then

[speed]   # measured on the runner
reference = "b"
max_ratio = 1.10
"""


def new(**more: object) -> Waiver:
    fields = {"check": "rate.marginal", "target": "a", "reason": 'it is "so"', "expires": datetime.date(2027, 3, 1)}
    return Waiver(**{**fields, **more})  # type: ignore[arg-type]


def test_a_waiver_is_written_without_touching_a_comment_or_an_order(tmp_path: Path) -> None:
    path = tmp_path / "dropcheck.toml"
    path.write_text(COMMENTED)
    writing.write(path, [new(when=When(dtype="float16", mode="compiled"), ceiling=0.01, link="https://example.org")])
    text = path.read_text()
    for row in COMMENTED.splitlines():
        assert row in text.splitlines()
    made = decoding.load(path).policy
    assert [one.check for one in made.waiver] == ["rate.one", "rate.marginal"]
    one = made.waiver[1]
    assert (one.reason, one.ceiling, one.when.dtype, one.when.mode) == ('it is "so"', 0.01, "float16", "compiled")
    assert made.speed is not None and made.speed.max_ratio == 1.1


def test_the_same_waiver_twice_is_there_once_and_a_later_date_renews_it(tmp_path: Path) -> None:
    path = tmp_path / "dropcheck.toml"
    assert len(writing.write(path, [new()])) == 1
    before = path.read_text()
    assert writing.write(path, [new()]) == [] and path.read_text() == before
    writing.write(path, [new(expires=datetime.date(2028, 1, 1))])
    (one,) = decoding.load(path).policy.waiver
    assert one.expires == datetime.date(2028, 1, 1)


def test_a_waiver_goes_into_the_policy_of_pyproject(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\nname = 'a' # ours\n\n[tool.dropcheck]\nversion = 1\n\n[tool.ruff]\nline-length = 100\n")
    writing.write(path, [new()])
    text = path.read_text()
    assert "name = 'a' # ours" in text and "[tool.ruff]\nline-length = 100" in text
    assert decoding.load(path).policy.waiver[0].check == "rate.marginal"


def test_a_damaged_policy_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "dropcheck.toml"
    path.write_text("version = 1\nchekcs = []\n")
    with pytest.raises(PolicyError, match="chekcs"):
        writing.write(path, [new()])
    assert path.read_text() == "version = 1\nchekcs = []\n"


def test_a_present_state_is_adopted_so_that_only_what_is_new_fails() -> None:
    result = failing(count=4)
    some = writing.present_state(result, datetime.date(2027, 1, 1), "before the gate")
    assert len(some) == 1 and some[0].when.dtype == "float32"
    text, _ = writing.with_waivers(f"version = 1\n{NAMED}", "dropcheck.toml", some, False)
    toml = text.removeprefix("version = 1\n")
    assert gate(result, toml=toml).exit_code == 0
    worse = audit(*[f for f in result.targets[0].findings if f.verdict == "fail"], finding("mask.patterns", "fail"))
    made = gate(worse, toml=toml)
    assert made.exit_code == 1 and {one.check for one in lines(made, "fail")} == {"mask.patterns"}


def test_a_name_with_the_signs_of_a_glob_is_adopted_as_itself() -> None:
    result = failing(target="m.py:nets[0]*?")
    (one,) = writing.present_state(result, datetime.date(2027, 1, 1), "r")
    toml = waiver(target=one.target).replace(f'targets = ["{TARGET}"]\n', "")
    assert gate(result, toml=toml).exit_code == 0
    assert gate(failing(target="m.py:nets0xx"), toml=toml).exit_code == 1


def test_what_cannot_be_adopted_is_told() -> None:
    assert writing.unadopted(audit(error="killed")) == [f"{TARGET}: killed"]
    assert writing.unadopted(audit(finding("rate.marginal", "inconclusive"))) == [
        f"{TARGET}: rate.marginal could not be judged"
    ]
