"""A decision is a pure function of policy and results: failures outrank missing evidence, and what is missing never passes."""

from __future__ import annotations

import datetime
import json
from typing import Any

import msgspec
import pytest
from kits.gate import NOW, TARGET, TODAY, audit, both, failing, finding, gate, lines

from dropcheck.gate import evidence
from dropcheck.gate.deciding import accepted
from dropcheck.results import audit as results
from dropcheck.results.audit import ResultError

NAMED = f'targets = ["{TARGET}"]\n'


def test_everything_that_is_required_passes() -> None:
    made = gate(audit())
    assert (made.verdict, made.exit_code) == ("pass", 0)
    assert made.headline == "Gate passed: all required checks pass in 1 target."


def test_a_failure_names_the_policy_line_the_command_that_repeats_it_and_the_one_that_waives_it() -> None:
    made = gate(failing(), toml=NAMED + 'checks = ["rate"]\n')
    assert (made.verdict, made.exit_code) == ("fail", 1)
    (line,) = lines(made, "fail")
    assert line.rule == 'dropcheck.toml:3: checks = ["rate"]'
    words = "--dtype float32 --device cpu --ceiling 0.03003 --reason WHY --expires 2027-02-23"
    assert line.accept == f"dropcheck waive rate.marginal {TARGET} {words}"


def test_a_failure_outranks_missing_evidence() -> None:
    made = gate(failing(), toml=f'targets = ["{TARGET}", "torch.Dropout1d"]\n')
    assert made.exit_code == 1 and lines(made, "missing")


def test_more_than_256_failures_still_exit_with_1() -> None:
    for count in (256, 257, 512):
        made = gate(failing(count=count))
        assert len(lines(made, "fail")) == count and made.exit_code == 1


def test_nothing_selected_is_3() -> None:
    assert gate(toml="").exit_code == 3
    assert gate(audit(skipped="torch is not installed"), toml="").exit_code == 3
    assert gate(toml="").headline.startswith("No targets: dropcheck.toml names none.")


def test_a_failure_of_a_check_that_is_not_required_is_shown_and_does_not_count() -> None:
    for toml in ('checks = ["mask"]\n', 'ignore = ["rate.marginal"]\n'):
        made = gate(failing(), toml=NAMED + toml)
        assert made.exit_code == 0
        assert [one.check for one in lines(made, "none")] == ["rate.marginal"]


MISSING: dict[str, tuple[Any, str, str]] = {
    "a target that is not in the results": (audit(target="other"), "", "there is no audit of it on cpu"),
    "a framework that is absent": (audit(skipped="torch is not installed"), "", "torch is not installed"),
    "a target that crashed": (audit(error="killed by SIGSEGV"), "", "its audit ended early: killed by SIGSEGV"),
    "an inconclusive check": (
        audit(finding("rate.marginal", "inconclusive", message="too few coins")),
        "",
        "too few coins",
    ),
    "a check that broke": (audit(finding("rate.marginal", "error", message="it raised")), "", "it raised"),
    "another device": (audit(), 'devices = ["cuda"]\n', "there is no audit of it on cuda"),
    "a coarser profile": (audit(), 'profile = "standard"\n', "its profile is quick"),
    "a laxer alpha": (audit(alpha=1e-3), "", "its alpha is 0.001"),
    "an audit of long ago": (
        audit(environment={"time": "2026-11-01T00:00:00+00:00"}),
        'max_age = "7d"\n',
        "it was made on 2026-11-01, 24 days ago",
    ),
    "an audit of tomorrow": (
        audit(environment={"time": "2026-12-24T00:00:00+00:00"}),
        'max_age = "7d"\n',
        "it was made on 2026-12-24, which is yet to come",
    ),
    "an audit without a date": (
        audit(environment={"time": None}),
        'max_age = "7d"\n',
        "it does not say when it was made",
    ),
    "another release": (
        audit(framework="torch", version="2.4.1+cpu"),
        '[releases]\ntorch = ">=2.5"\n',
        "it is of torch 2.4.1+cpu",
    ),
    "another release of a backend": (
        audit(framework="keras@jax", version="3.15.1 on jax 0.4.0"),
        "[releases]\njax = '0.10.2'\n",
        "it is of jax 0.4.0",
    ),
    "another release of dropcheck": (
        audit(),
        "[releases]\ndropcheck = '>=0.1'\n",
        "it is of dropcheck of no known release",
    ),
    "an audit that was never strict": (audit(), "traits = true\n", "the audit did not judge traits (--strict)"),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_missing_and_never_a_pass(what: str) -> None:
    result, toml, message = MISSING[what]
    made = gate(result, toml=NAMED + toml)
    assert (made.verdict, made.exit_code) == ("inconclusive", 3)
    assert message in lines(made, "missing")[0].message
    assert gate(result, toml='on_missing = "fail"\n' + NAMED + toml).exit_code == 1


def test_a_check_without_a_finding_is_missing() -> None:
    whole = audit().targets[0]
    half = msgspec.structs.replace(whole, findings=[f for f in whole.findings if f.check != "seed.reset"])
    made = gate(msgspec.structs.replace(audit(), targets=[half]))
    assert made.exit_code == 3 and lines(made, "missing")[0].message == "seed.reset did not run"


def test_only_skipped_checks_prove_nothing() -> None:
    some = [finding(f.check, "skipped") for f in audit().targets[0].findings]
    assert gate(audit(*some)).exit_code == 3


def test_missing_evidence_is_skipped_only_where_it_is_absent_and_only_beside_something_proven() -> None:
    skip = 'on_missing = "skip"\nmissing_reason = "no GPU here"\n'
    away, crashed = audit(target="away", skipped="jax is not installed"), audit(target="away", error="killed")
    both_named = f'targets = ["{TARGET}", "away"]\n'
    made = gate(both(audit(), away), toml=both_named + skip)
    assert made.exit_code == 0 and "skipped: no GPU here" in lines(made, "none")[-1].message
    assert gate(both(audit(), crashed), toml=both_named + skip).exit_code == 3
    assert gate(audit(skipped="jax is not installed"), toml=NAMED + skip).exit_code == 3


@pytest.mark.parametrize("option", ["--case", "--rate", "--shape=4,4,4", "--budget", "--resolution"])
def test_an_audit_that_was_narrowed_is_no_evidence_but_its_failures_are(option: str) -> None:
    def narrowed(result: results.Result) -> results.Result:
        return msgspec.structs.replace(result, argv=["audit", TARGET, option, "x"])

    made = gate(narrowed(audit()))
    assert made.exit_code == 3 and "was narrowed by" in lines(made, "missing")[0].message
    assert gate(narrowed(failing())).exit_code == 1


def test_dtypes_and_patterns_count_only_where_the_policy_names_them() -> None:
    narrow = msgspec.structs.replace(audit(), argv=["audit", TARGET, "--dtype", "float32"])
    assert gate(narrow).exit_code == 3
    assert gate(narrow, toml=NAMED + 'dtypes = ["float32"]\n').exit_code == 0
    assert gate(narrow, toml=NAMED + 'dtypes = ["float32", "float16"]\n').exit_code == 3
    other = msgspec.structs.replace(audit(), argv=["audit", TARGET, "--pattern", "n c l -> n c l"])
    assert gate(other).exit_code == 3


def test_an_audit_of_a_layer_whose_file_has_changed_is_no_evidence() -> None:
    assert gate(audit(source="aaaa"), sources={TARGET: "aaaa"}).exit_code == 0
    made = gate(audit(source="aaaa"), sources={TARGET: "bbbb"})
    assert made.exit_code == 3 and "has changed since" in lines(made, "missing")[0].message


def test_a_failure_in_any_of_several_audits_counts() -> None:
    assert gate(audit(), failing()).exit_code == 1
    assert gate(failing(), audit()).exit_code == 1


def test_an_interrupted_audit_without_a_list_of_targets_is_missing_evidence() -> None:
    assert gate(audit(interrupted=True), toml="").exit_code == 3


@pytest.mark.parametrize(("granted", "code"), [(0.05, 0), (0.031, 0), (0.029, 1), (0.02, 1)])
def test_a_tolerance_holds_as_far_as_the_interval_does(granted: float, code: int) -> None:
    made = gate(failing(), toml=NAMED + f"[tolerances]\n'rate.marginal' = {granted}\n")
    assert made.exit_code == code  # the interval ends .03 away from what is expected


def test_a_tolerance_grants_nothing_where_there_is_no_number() -> None:
    made = gate(audit(finding("form.strides", "fail")), toml=NAMED + "[tolerances]\n'form.strides' = 10.0\n")
    assert made.exit_code == 1


def test_a_result_that_says_waived_is_not_believed() -> None:
    stamp = results.Waiver(id="x", reason="y", expires="2099-01-01")
    assert gate(audit(finding("rate.marginal", "waived", waiver=stamp))).exit_code == 1


def test_the_audit_as_the_waivers_leave_it_says_which_waiver() -> None:
    toml = NAMED + f"[[waiver]]\ncheck = 'rate.marginal'\ntarget = '{TARGET}'\nreason = 'known'\nexpires = 2027-01-01\n"
    result = failing()
    left = accepted(result, gate(result, toml=toml))
    (one,) = [f for f in left.targets[0].findings if f.check == "rate.marginal"]
    assert one.verdict == "waived" and one.waiver is not None and one.waiver.reason == "known"
    assert left.verdict == left.targets[0].verdict == "pass"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"log10_evidence": -9.0, "alpha": 1e-8}, "it passes, though its evidence is beyond its alpha"),
        ({"log10_evidence": -99999.0, "alpha": 1e-8}, "it passes, though its evidence is beyond its alpha"),
        ({"log10_evidence": -1.0, "alpha": 0.0}, "its alpha must lie between 0 and 1"),
        ({"resolution": 0.01, "coins": 0}, "it passes with a detection limit, but without a drop decision"),
        ({"log10_evidence": -99.0, "alpha": None}, "it passes without an alpha"),
        ({"check": "rate.marginl"}, "there is no check 'rate.marginl'"),
        ({"verdict": "waived"}, "it is waived by nothing"),
    ],
)
def test_a_finding_that_contradicts_itself_is_damage(changed: dict[str, Any], message: str) -> None:
    one = msgspec.structs.replace(finding("rate.marginal"), **changed)
    result = audit(one)
    with pytest.raises(ResultError, match=message):
        evidence.decode(results.encode(result), "r.json")


def test_verdicts_that_are_not_those_below_them_are_damage() -> None:
    tree = json.loads(results.encode(failing()))
    tree["verdict"] = "pass"
    with pytest.raises(ResultError, match=r"at `\$.verdict`"):
        evidence.decode(json.dumps(tree).encode(), "r.json")
    tree["targets"][0]["verdict"] = "pass"
    with pytest.raises(ResultError, match=r"at `\$.targets\[0\].verdict`"):
        evidence.decode(json.dumps(tree).encode(), "r.json")
    tree["targets"][0]["findings"] = [f for f in tree["targets"][0]["findings"] if f["verdict"] != "fail"]
    evidence.decode(json.dumps(tree).encode(), "r.json")


def test_the_day_is_given_and_not_asked_for() -> None:
    later = TODAY + datetime.timedelta(days=400)
    assert gate(audit(), toml=NAMED + 'max_age = "30d"\n').exit_code == 0
    assert gate(audit(), toml=NAMED + 'max_age = "30d"\n', today=later).exit_code == 3
    assert gate(audit()).day == NOW.date().isoformat()
