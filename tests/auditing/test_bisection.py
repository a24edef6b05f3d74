"""Bisection over releases: the planted release is found, and what cannot be decided is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from dropcheck.auditing import bisection
from dropcheck.auditing.bisection import Question, Trial
from dropcheck.contract.errors import UsageError

sys.path.insert(0, str(Path(__file__).parents[1] / "kits"))
from kits import releases

VERSIONS = [Version(f"1.{n}") for n in range(16)]
QUESTION = Question(target="x:y", check="rate.marginal", package="tiny")


def answering(bad_from: int, **odd: str) -> tuple[Any, list[str]]:
    """A trial that fails from release 1.``bad_from`` on, and the releases that were asked."""
    asked: list[str] = []

    def trial(release: Version) -> Trial:
        asked.append(str(release))
        usual = "fail" if release.minor >= bad_from else "pass"
        outcome: Any = odd.get(f"v{release.minor}", usual)
        return Trial(release=str(release), outcome=outcome, message="so", seconds=0.0)

    return trial, asked


@pytest.mark.parametrize("bad_from", range(1, 16))
def test_every_first_failing_release_is_found_in_few_trials(bad_from: int) -> None:
    trial, asked = answering(bad_from)
    found = bisection.search(QUESTION, VERSIONS, trial)
    assert found.first_failing == f"1.{bad_from}" and found.last_passing == f"1.{bad_from - 1}"
    assert asked[:2] == ["1.0", "1.15"] and len(asked) == len(set(asked)) <= 6
    assert f"fails for the first time in tiny 1.{bad_from}: it passes in 1.{bad_from - 1}" in found.sentence


@pytest.mark.parametrize("outcome", ["inconclusive", "error", "not installable", "skipped"])
def test_releases_that_cannot_be_judged_are_skipped(outcome: str) -> None:
    trial, _ = answering(9, v7=outcome, v3=outcome, v11=outcome, v15=outcome, v0=outcome)
    found = bisection.search(QUESTION, VERSIONS, trial)
    assert found.first_failing == "1.9"
    trial, _ = answering(9, v8=outcome, v9=outcome)
    found = bisection.search(QUESTION, VERSIONS, trial)
    assert found.first_failing is None and found.candidates == ["1.8", "1.9", "1.10"]
    assert "one of tiny 1.8, 1.9, 1.10: it passes in 1.7 and fails in 1.10" in found.sentence


@pytest.mark.parametrize("bad_from, says", [(0, "already fails in tiny 1.0"), (99, "passes in tiny 1.15, the last")])
def test_wrong_ends_are_said_in_one_sentence(bad_from: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        bisection.search(QUESTION, VERSIONS, answering(bad_from)[0])


def test_nothing_that_can_be_judged_is_said_too() -> None:
    with pytest.raises(UsageError, match="could be judged in none of the 16 releases"):
        bisection.search(QUESTION, VERSIONS, answering(3, **{f"v{n}": "error" for n in range(16)})[0])


def test_ends_that_are_no_releases_or_turned_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no such release.* the nearest is '1\."):
        bisection.between(VERSIONS, "1.1.1", "1.9")
    with pytest.raises(UsageError, match="not before"):
        bisection.between(VERSIONS, "1.9", "1.1")
    assert [str(v) for v in bisection.between(VERSIONS, "1.9", "1.11")] == ["1.9", "1.10", "1.11"]


def test_the_command_finds_the_release_in_which_a_planted_defect_appears(call: Any, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    releases.numpy_wheel(folder)
    for version in ("1.1", "1.2", "1.3", "1.10"):
        wrong = str(Version(version) >= Version("1.3"))
        needs = "nothing-of-this-name" if version == "1.1" else ""
        releases.wheel(folder, version, releases.SOURCE.replace("@WRONG@", wrong), requires=needs)
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    variables |= {"PIP_NO_COMPILE": "1"}  # of NumPy little is imported
    words = ("bisect", "tinydrop:layer", "--check", "rate.marginal", "--package", "tinydrop")
    done = call(*words, "--from", "1.1", "--to", "1.3", "--json", "b.json", **variables)
    assert done.code == 0, done.err
    assert "fails for the first time in tinydrop 1.3: it passes in 1.2, the release before" in done.out
    told = json.loads((tmp_path / "b.json").read_text())
    assert told["schema"] == "dropcheck.bisect/1" and told["candidates"] == ["1.3"]
    outcomes = {t["release"]: t["outcome"] for t in told["trials"]}
    assert outcomes == {"1.1": "not installable", "1.2": "pass", "1.3": "fail"}
    unknown = call(*words[:3], "rate.marginl", *words[4:], "--from", "1.1", "--to", "1.10", **variables)
    assert unknown.code == 2 and "the nearest is 'rate.marginal'" in unknown.err
