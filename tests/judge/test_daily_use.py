"""A layer in daily use: two of a class, copies, a rate set later, graphs of calls, settings, threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from kits.script import run_here

import dropcheck
from dropcheck.judge.checks.base import finding
from dropcheck.judge.checks.instances import CHECKS as INSTANCES
from dropcheck.judge.verdicts import interpret
from dropcheck.report.reproduction import write
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding, TargetResult
from dropcheck.worker.server import threads
from spatial_dropouts.broken.records import life as records_life
from spatial_dropouts.broken.records.record import Defect

DAILY = (
    *("seed.instances", "form.copies", "rate.set-later", "mode.settings", "mode.threads"),
    *("gradient.two-passes", "gradient.cotangents", "gradient.second-derivative"),
)
# what else does not hold of a defect: a copy is a second layer, too
ALSO = {"seeded-from-initial-seed": {"form.copies"}, "blocks-of-the-generator": {"form.copies"}}


def asked(name: str, *select: str) -> TargetResult:
    (target,) = dropcheck.audit(
        name, select=select or DAILY, dtypes=("float32",), in_process=True, jobs=1, causes=False
    ).targets
    assert target.error is None, target.error
    return target


def verdicts(target: TargetResult) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in target.findings:
        found.setdefault(one.check, set()).add(one.verdict)
    return found


def reasons(target: TargetResult, check: str) -> str:
    return "; ".join(one.message for one in target.findings if one.check == check and one.verdict == "skipped")


@pytest.mark.parametrize("defect", [d for d in records_life.DEFECTS if not d.backend], ids=lambda d: d.name)
def test_a_defect_of_daily_use_fails_its_own_claim_and_no_other_and_its_script_shows_it(
    defect: Defect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = asked(defect.target)
    failing = [one for one in target.findings if one.verdict not in ("pass", "skipped")]
    assert {one.check for one in failing} == {defect.check} | ALSO.get(defect.name, set())
    for found in failing:
        status, said = run_here(write(target, found), tmp_path, monkeypatch)
        assert status == 1, said


@pytest.mark.parametrize(
    "name", ["torch.Dropout1d", "torch.AlphaDropout", "torch.functional.dropout1d", "custom.torch"]
)
def test_right_layers_of_pytorch_keep_every_claim_that_applies(name: str) -> None:
    got = verdicts(asked(name))
    assert set(got) == set(DAILY) and set().union(*got.values()) <= {"pass", "skipped"}
    function = {"form.copies", "rate.set-later"} if "functional" in name else set()
    assert all("pass" in some for check, some in got.items() if check not in function)


def test_numpy_is_asked_for_what_it_has_and_says_why_the_rest_does_not_apply() -> None:
    target = asked("custom.reference")
    got = verdicts(target)
    assert {check for check, some in got.items() if some == {"pass"}} == {
        "seed.instances",
        "form.copies",
        "rate.set-later",
    }
    assert "NumPy has no setting" in reasons(target, "mode.settings")
    assert "belongs to one thread" in reasons(target, "mode.threads")
    assert "no gradients" in reasons(target, "gradient.two-passes")


def test_a_rate_that_cannot_be_set_is_no_failure_and_one_with_a_setter_is_asked() -> None:
    target = asked("unusual.read-only-rate", "rate.set-later")
    assert verdicts(target) == {"rate.set-later": {"pass", "skipped"}}
    assert "`.rate` is read-only: an assignment raises AttributeError" in reasons(target, "rate.set-later")
    assert verdicts(asked("unusual.rate-with-setter", "rate.set-later")) == {"rate.set-later": {"pass"}}


def test_layers_that_share_a_seed_by_contract_and_copies_that_go_on_with_a_stream_pass() -> None:
    target = asked("unusual.seed-by-default", "seed.instances")
    assert verdicts(target) == {"seed.instances": {"pass", "skipped"}}
    assert "the constructor's default seed is 0" in reasons(target, "seed.instances")
    target = asked("unusual.stream-goes-on", "form.copies")
    assert verdicts(target) == {"form.copies": {"pass"}}
    assert target.traits["coins of a copy"] == {
        "copy.deepcopy": "the original's",
        "pickle": "the original's",
        "torch.save": "the original's",
        "state_dict": "its own",
    }


def test_a_backward_pass_that_says_that_it_is_differentiated_once_is_skipped() -> None:
    target = asked("unusual.once-differentiable", "gradient")
    assert verdicts(target)["gradient.second-derivative"] == {"skipped"}
    assert "not differentiated again" in reasons(target, "gradient.second-derivative")
    assert verdicts(target)["gradient.cotangents"] == {"pass"}


@pytest.mark.parametrize("name", ["mask-for-inspection", "counter-with-lock", "keeps-on-the-class", "numbered-layers"])
def test_correct_layers_that_come_close_pass(name: str) -> None:
    got = verdicts(asked(f"unusual.{name}"))
    assert set().union(*got.values()) <= {"pass", "skipped"}


def test_a_layer_as_it_stands_has_no_second_one_and_keeps_its_rate(tmp_path: Any) -> None:
    place = tmp_path / "net.py"
    place.write_text("import torch\nmodel = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(.2))\n")
    (target,) = dropcheck.audit(f"{place}:model.1", select=DAILY, in_process=True, jobs=1).targets
    assert target.verdict in ("pass", "skipped"), [f for f in target.findings if f.verdict == "fail"]


def test_in_a_mode_the_eager_layer_is_asked_instead() -> None:
    (target,) = dropcheck.audit("torch.Dropout@in-place", select=DAILY, in_process=True, jobs=1).targets
    assert {one.verdict for one in target.findings} == {"skipped"}
    assert all("tests eager layers only" in one.message for one in target.findings)


# --- judging ---------------------------------------------------------------------------------------------------------


def in_turn(**tallies: int) -> Finding:
    check = next(c for c in INSTANCES if c.name == "seed.instances")
    return finding(check, "float32 rate=0.5 two layers", "fail", "213 of 213 words in common", tallies=tallies)


def copies(check: str, dtype: str = "float32") -> Finding:
    return Finding(check=check, case=f"{dtype} rate=0.5 8,65,1 calls=2", verdict="fail", message="repeats")


@pytest.mark.parametrize(
    ("one", "other", "follows"),
    [
        (in_turn(common=213, within=142), copies("mask.distinct-calls"), True),
        (in_turn(common=213, within=0), copies("mask.distinct-calls"), False),
        (in_turn(common=1, within=0), copies("mask.distinct-channels"), True),
        (in_turn(common=213, within=142), copies("mask.distinct-calls", "float16"), False),
        (in_turn(common=213, within=142), copies("rate.marginal"), False),
    ],
)
def test_words_that_two_layers_share_follow_only_from_words_that_one_repeats(
    one: Finding, other: Finding, follows: bool
) -> None:
    (got, _) = interpret([one, other])
    assert (got.verdict == "skipped") == follows
    assert got.message.startswith(f"{NOT_INTERPRETABLE} {other.check} fails") == follows


# --- threads ---------------------------------------------------------------------------------------------------------


class Racing:
    """What is written in one line is read in the next."""

    def __call__(self, value: int) -> int:
        self.held = value
        return self.held


class Locked:
    """The same under a lock."""

    lock = threading.Lock()

    def __call__(self, value: int) -> int:
        with self.lock:
            self.held = value
            return self.held


def test_threads_take_turns_at_every_line_so_that_a_race_shows_each_time() -> None:
    for _ in range(5):
        racing = Racing()
        assert threads.at_once(racing, 2, threads.files_of(racing, None)) != [0, 1]


def test_a_lock_ends_no_audit_and_what_a_thread_raises_is_its_answer() -> None:
    locked = Locked()
    assert threads.at_once(locked, 2, threads.files_of(locked, None)) == [0, 1]
    got = threads.at_once(lambda number: 1 // number, 2, frozenset())
    assert isinstance(got[0], ZeroDivisionError) and got[1] == 1


SETS = """
import torch


class Layer(torch.nn.Dropout1d):
    def __init__(self, p=0.5):
        super().__init__(p)
        self.own = int(torch.randint(2**31, ()))

    def forward(self, x):
        if self.training and self.p:
            keep = (torch.rand(*x.shape[:2], 1, generator=torch.Generator().manual_seed(SEED())) >= self.p).to(x.dtype)
            HERE
            return x * keep / (1 - self.p)
        return x


def SEED():
    return int.from_bytes(__import__("os").urandom(7), "little")
"""


@pytest.mark.parametrize(
    "here, verdict, said",
    [
        (
            "torch.manual_seed(1)",
            "fail",
            "a training call sets the random numbers of everybody else: torch gives the same",
        ),
        (
            "torch.manual_seed(self.own)",
            "fail",
            "a training call sets the random numbers of everybody else: torch gives",
        ),
        ("torch.manual_seed(SEED())", "pass", "differs from state to state"),
        ("torch.rand(3)", "pass", "differs from state to state"),
    ],
)
def test_a_layer_that_sets_the_stream_of_all_others_fails_whatever_number_it_sets(
    here: str, verdict: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "layers.py").write_text(SETS.replace("HERE", here))
    contract = dropcheck.Contract(dropcheck.Pattern.parse("n c l -> n c"), seeds=())
    made = dropcheck.Implementation(make=f"{tmp_path / 'layers.py'}:Layer", framework="torch", contract=contract)
    (target,) = dropcheck.audit(
        made, select="seed.instances", dtypes="float32", in_process=True, jobs=1, causes=False
    ).targets
    (one,) = [one for one in target.findings if "others after" in one.case]
    assert one.verdict == verdict and said in one.message, one.message
