"""Claims that nobody judged, because a more basic one fails and is accepted: they never count as held."""

from __future__ import annotations

import datetime

import pytest
from kits.gate import TARGET, audit, failing, finding, gate, lines

from dropcheck.gate import writing
from dropcheck.gate.formats import register as formats
from dropcheck.gate.policy import PolicyError
from dropcheck.results.audit import NOT_INTERPRETABLE, Result

NAMED = f'targets = ["{TARGET}"]\n'
COUNTED = ("rate.marginal", "rate.per-channel")
BASIS = f'[[waiver]]\ncheck = "mask.whole-channels"\ntarget = "{TARGET}"\nreason = "known"\nexpires = 2027-01-01\n'


def hidden() -> Result:
    """An audit whose most basic claim fails, so that two rates are not judged."""
    text = f"{NOT_INTERPRETABLE} mask.whole-channels fails: the rate is 0.5"
    numbers = {"estimate": 0.5, "expected": 0.3, "fail_interval": (0.49, 0.51)}
    return audit(
        finding("mask.whole-channels", "fail"), *(finding(c, "skipped", message=text, **numbers) for c in COUNTED)
    )


def waiver(check: str, more: str = "") -> str:
    return BASIS.replace("mask.whole-channels", check) + more


ACCEPTED = {
    "waived": NAMED + BASIS,
    "ignored": NAMED + 'ignore = ["mask.whole-channels"]\n',
    "not selected": NAMED + 'checks = ["rate"]\n',
}


@pytest.mark.parametrize("how", ACCEPTED)
def test_what_was_not_judged_beside_an_accepted_failure_is_missing_and_names_the_cause(how: str) -> None:
    made = gate(hidden(), toml=ACCEPTED[how])
    assert made.exit_code == 3
    some = lines(made, "missing")
    assert [one.check for one in some] == list(COUNTED)
    assert all("because mask.whole-channels fails" in one.message and one.accept for one in some)
    for name in formats.FORMATS:
        assert "skipped" in " ".join(formats.render(made, name).split()), name


def test_a_tolerance_that_accepts_the_basis_leaves_the_rest_missing() -> None:
    basis = finding("mask.distinct-calls", "fail", estimate=0.1, expected=0.0, fail_interval=(0.05, 0.15))
    text = f"{NOT_INTERPRETABLE} mask.distinct-calls fails: the rate is 0.5"
    result = audit(basis, finding("rate.marginal", "skipped", message=text))
    assert gate(result, toml=NAMED + "[tolerances]\n'mask.distinct-calls' = 0.2\n").exit_code == 3


def test_a_required_failure_fails_the_gate_and_what_it_hides_is_no_second_message() -> None:
    made = gate(hidden())
    assert made.exit_code == 1 and not lines(made, "missing")


SO = 'of = "not judged"\n'


def test_waivers_of_what_is_not_judged_accept_it_and_every_format_says_so() -> None:
    made = gate(hidden(), toml=NAMED + BASIS + "".join(waiver(c, SO) for c in COUNTED))
    assert made.exit_code == 0
    assert made.headline == (
        "Gate passed with 1 accepted failure (1 check in 1 target) and 2 accepted skipped checks "
        "(2 checks in 1 target)."
    )
    for name in formats.FORMATS:
        assert "skipped" in " ".join(formats.render(made, name).split()), name


def test_a_waiver_of_a_failure_does_not_accept_what_is_not_judged() -> None:
    for more in ("", "ceiling = 9.0\n", 'of = "failure"\n'):
        made = gate(hidden(), toml=NAMED + BASIS + "".join(waiver(c, more) for c in COUNTED))
        assert made.exit_code == 3 and "accepts a failure of it" in lines(made, "missing")[0].message


def test_a_waiver_of_what_is_not_judged_has_no_ceiling() -> None:
    with pytest.raises(PolicyError, match=r"dropcheck.toml:\d+: a skipped check has no deviation: leave out ceiling"):
        gate(hidden(), toml=NAMED + waiver("rate.marginal", SO + "ceiling = 9.0\n"))


def test_a_waiver_of_what_is_not_judged_ends_when_the_check_is_judged() -> None:
    toml = NAMED + BASIS + "".join(waiver(c, SO) for c in COUNTED)
    made = gate(failing(), toml=toml)  # the basis holds now, and the rate fails on its own
    assert made.exit_code == 1
    (bad,) = lines(made, "fail")
    assert bad.check == "rate.marginal" and "it is tested now" in bad.message
    ended = [note.message for note in made.notes if "is tested now; remove it" in note.message]
    assert len(ended) == 2
    made = gate(audit(), toml=toml)  # all of it passes
    assert made.exit_code == 0 and made.headline.endswith("pass in 1 target.")
    assert sum("remove it" in note.message for note in made.notes) == 3
    for name in formats.FORMATS:
        assert "remove it" in formats.render(made, name), name


def adopted(result: Result, text: str = "version = 1\n" + NAMED) -> str:
    """The policy that adopts the present state of a result."""
    some = writing.present_state(result, datetime.date(2027, 1, 1), "as it is")
    return writing.with_waivers(text, "dropcheck.toml", some, False)[0]


def test_adopting_the_present_state_accepts_what_was_not_judged_with_it() -> None:
    text = adopted(hidden())
    assert text.count("[[waiver]]") == 3 and 'device = "cpu"' in text and "ceiling" not in text
    assert text.count('of = "not judged"') == 2
    assert gate(hidden(), toml=text.removeprefix("version = 1\n")).exit_code == 0


def test_what_is_adopted_may_not_get_worse_nor_move_to_another_device() -> None:
    text = adopted(failing())
    assert "ceiling = 0.03" in text
    toml = text.removeprefix("version = 1\n")
    assert gate(failing(), toml=toml).exit_code == 0
    worse = finding("rate.marginal", "fail", estimate=0.4, expected=0.3, fail_interval=(0.39, 0.41))
    assert gate(audit(worse), toml=toml).exit_code == 1
    there = failing(argv=["audit", TARGET, "--device", "cuda"])
    assert gate(there, toml='devices = ["cuda"]\n' + toml).exit_code == 1
    # adopted again where no number tells how far it is off: no ceiling is left that nothing could keep
    bare = audit(finding("rate.marginal", "fail"))
    assert gate(bare, toml=adopted(bare, text).removeprefix("version = 1\n")).exit_code == 0
