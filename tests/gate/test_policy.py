"""A policy says what a release must show; what is wrong with it is named with its file, its line and the nearest valid thing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from kits.gate import policy

from dropcheck.gate import decoding
from dropcheck.gate.policy import PolicyError
from dropcheck.gate.toml_lines import line_of, lines
from dropcheck.gate.writing import dumped

WAIVER = "[[waiver]]\ncheck = 'rate.one'\ntarget = 'a'\nreason = 'r'\nexpires = 2027-01-01\n"
WRONG = {
    'chekcs = ["mask"]': "2: there is no key 'chekcs'; the nearest is 'checks'",
    '[speed]\nreference = "a"\nmax_rato = 1.1': "4: there is no key 'max_rato' in [speed]; the nearest is 'max_ratio'",
    'checks = [\n  "mask",\n  "msk"]': "2: there is no check 'msk'",
    'profile = "standart"': "2: profile: 'standart' is none of the words that it can be (quick, standard, deep); the "
    "nearest is 'standard'",
    'preset = "strickt"': "2: there is no preset 'strickt'; expected default, strict, quick; the nearest is 'strict'",
    "targets = 7": "2: targets: expected `array`, got `int`; 7 was given",
    'targets = ["a", "a"]': "2: a target is named twice",
    'targets = ["torch.*"]': "2: a target is one name",
    "alpha = 2": "2: alpha is a probability such as 1e-6, not 2",
    "alpha = nan": "2: alpha is a probability such as 1e-6, not nan",
    'max_age = "a week"': "2: an age is a number of hours, days or weeks",
    'on_missing = "skip"': '2: evidence is skipped only for a reason: add missing_reason = "..."',
    "[tolerances]\n'rate.margnal' = 0.1": "3: there is no check 'rate.margnal'; the nearest is 'rate.marginal'",
    "[releases]\ntorch = 'new'": "3: a release such as '2.13.0' or '>=2.4,<3', not 'new'",
    "[patterns]\n'a' = 'n c ->'": "3: ",
    "[speed]\nmax_ratio = 1.1": '3: max_ratio is a ratio to a reference; add reference = "TARGET" to [speed]',
    "[speed]\nmin_fraction_of_limit = 0.3\ncells = ['1,1']": "4: ",
    "[speed]\nreference = 'a'": "2: [speed] asks for nothing",
    "ignore = ['mask', 'rate', 'scale', 'seed', 'gradient', 'mode', 'form', 'site']": "2: no check is left",
    "[[waiver]]\ncheck = 'rate.one'\ntarget = 'a'\nreason = ' '\nexpires = 2027-01-01": "5: a waiver needs a reason",
    "[[waiver]]\ncheck = 'rate.one'\ntarget = 'a'\nreason = 'r'": "2: waiver lacks 'expires'",
    "[[waiver]]\ncheck = 'rate.on'\ntarget = 'a'\nreason = 'r'\nexpires = 2027-01-01": "3: there is no check 'rate.on'",
    WAIVER + "when = { dtyp = 'x' }": "7: there is no key 'dtyp' in [waiver.when]; the nearest is 'dtype'",
    WAIVER + "when.mode = 'jitt'": "7: there is no mode 'jitt'",
    "x = ": "2: no valid TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_file_line_and_the_nearest_valid_thing(text: str) -> None:
    with pytest.raises(PolicyError) as refused:
        policy(text)
    assert str(refused.value).startswith(f"dropcheck.toml:{WRONG[text]}")
    assert "\n" not in str(refused.value)


def test_a_policy_without_its_version_and_one_of_another_version_are_refused() -> None:
    with pytest.raises(PolicyError, match="add the line: version"):
        decoding.decode("", "dropcheck.toml")
    with pytest.raises(PolicyError, match=r"dropcheck\.toml:1: version: 2"):
        decoding.decode("version = 2", "dropcheck.toml")


def test_the_command_line_outranks_the_file_which_outranks_the_preset() -> None:
    text = 'preset = "strict"\nmax_age = "3d"\nprofile = "deep"'
    made = policy(text, given=[("--profile", "profile", "quick")])
    assert (made.policy.profile, made.origin("profile")) == ("quick", "--profile")
    assert (made.policy.max_age, made.origin("max_age")) == ("3d", "dropcheck.toml:3")
    assert (made.policy.on_missing, made.origin("on_missing")) == ("fail", "preset strict")
    speed = policy("[speed]\nmin_fraction_of_limit = 0.3\n")
    assert (speed.origin("speed", "min_fraction_of_limit"), speed.origin("speed", "level")) == (
        "dropcheck.toml:3",
        "preset default",
    )


def test_a_key_of_the_command_line_is_refused_by_the_name_of_its_option() -> None:
    with pytest.raises(
        PolicyError, match=r"--set speed.max_rati: there is no key 'max_rati' in .* nearest is 'max_ratio'"
    ):
        policy("", given=[("--set speed.max_rati", "speed.max_rati", 1.1)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        'preset = "quick"\ntargets = ["a", "b c"]',
        "[tolerances]\n'rate.marginal' = 0.01\n[releases]\ntorch = '>=2'\n[speed]\nreference = 'a'\nmax_ratio = 1.1\n"
        "[[waiver]]\ncheck = 'rate.one'\ntarget = 'a'\nreason = 'it \"is\" so'\nexpires = 2027-01-01\nwhen = { dtype = 'float16' }",
    ],
)
def test_the_policy_that_is_printed_is_a_policy_that_asks_for_the_same(text: str) -> None:
    made = policy(text)
    printed = dumped(made)
    again = decoding.decode(printed, "printed.toml")
    assert again.policy == made.policy
    assert "dropcheck.toml:1" in printed and ("preset" in printed)


def test_pyproject_holds_a_policy_and_two_policies_are_refused(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'a'\n\n[tool.dropcheck]\nversion = 1\nprofile = 'deep'\n")
    assert decoding.find(tmp_path) == project
    made = decoding.load(project)
    assert made.policy.profile == "deep" and made.origin("profile") == f"{project}:6"
    (tmp_path / "dropcheck.toml").write_text("version = 1\n")
    with pytest.raises(PolicyError, match=r"both .* hold a policy; name one with --policy"):
        decoding.find(tmp_path)


def test_lines_are_found_through_comments_arrays_and_strings_of_many_lines() -> None:
    text = """# first
    version = 1
    checks = [ # a comment with [brackets]
      "mask",
    ]
    missing_reason = '''
    [not.a.table]
    alpha = 3
    '''
    alpha = 4
    [[waiver]]
    check = "a"
    [waiver.when]
    dtype = "x"
    [[waiver]]
    check = "b"
    """
    found = lines(text)
    assert tomllib.loads(text)["alpha"] == 4
    assert found[("alpha",)] == 10 and found[("missing_reason",)] == 6 and found[("waiver", 1, "check")] == 16
    assert line_of(("waiver", 0, "when", "dtype"), found) == 14
    assert line_of(("checks", 0), found) == 3
    assert line_of(("nowhere",), found) is None
