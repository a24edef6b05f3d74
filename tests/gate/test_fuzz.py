"""Mutated policies, waivers, ratchets and results: never a traceback, never a wrong pass.

Few examples by default; for a thousand of each:
DROPCHECK_FUZZ=1000 python -m pytest -n 0 tests/gate/test_fuzz.py
"""

from __future__ import annotations

import copy
import datetime
import fnmatch
import functools
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kits.gate import FILE, SOURCE, TARGET, audit, bench, failing, finding

from dropcheck import cli
from dropcheck.gate import ratchet
from dropcheck.results import audit as results
from dropcheck.results import bench as records

FUZZ = settings(
    max_examples=int(os.environ.get("DROPCHECK_FUZZ", "15")),
    deadline=None,
    derandomize="DROPCHECK_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
WORDS = st.sampled_from(
    [
        "pass",
        "fail",
        "waived",
        "skipped",
        "skip",
        "quick",
        "deep",
        "",
        "*",
        "mask",
        "rate.marginal",
        "2099-01-01",
        "\x00",
        "\ud800",
    ]
)
NUMBERS = st.one_of(st.integers(-3, 3), st.floats(), st.sampled_from([10**400, -(10**400), 1e308, 1e-308]))
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    WORDS,
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just({"a": {}}),
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=6)), min_size=1, max_size=3)

POLICY = f"""# the policy
version = 1
targets = ["{TARGET}"]
checks = ["mask", "rate", "scale"]
profile = "quick"
alpha = 1e-6
on_missing = "inconclusive"

[tolerances]
"scale.mean" = 1e-7
"""
WAIVER = f"""
[[waiver]]
check = "rate.marginal"
target = "{TARGET}"
reason = "known upstream"
expires = 2099-12-31
when = {{ dtype = "float32" }}
ceiling = 0.5
"""


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Some bytes replaced, removed or put in."""
    for place, length, new in edits:
        at = int(place * len(data))
        data = data[:at] + new + data[at + length :]
    return data


def paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


def mutated(data: st.DataObject, text: bytes) -> bytes:
    """A document with one place changed or removed, or with some bytes edited."""
    if data.draw(st.booleans()):
        return edited(text, data.draw(EDITS))
    tree = copy.deepcopy(json.loads(text))
    *above, last = data.draw(st.sampled_from(list(paths(tree))))
    here = tree
    for key in above:
        here = here[key]
    if data.draw(st.booleans()):
        del here[last]
    else:
        here[last] = data.draw(VALUES)
    return json.dumps(tree).encode()


@pytest.fixture(scope="module", autouse=True)
def one_command_line() -> Iterator[None]:
    """The tree of commands is made once: it is the same for every example, and most of the time of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    # a failure in one case and in one only, so that a single change can hide it
    (made / "mine.py").write_bytes(FILE)
    results.save(failing(source=SOURCE), made / "bad.json")
    results.save(audit(finding("rate.marginal", resolution=0.5, coins=9), source=SOURCE), made / "good.json")
    (made / "policy.toml").write_text(POLICY)
    return made


def gate(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> int:
    """The exit code; there is no traceback, and an exit code of 2 comes with one sentence."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        code = cli.main(["gate", *words, "--format", "json"])
    finally:
        os.chdir(before)
    told = capsys.readouterr()
    assert "Traceback" not in told.err and "fault of dropcheck" not in told.err, told.err
    assert code in (0, 1, 2, 3)
    if code == 2:
        assert told.err.startswith("dropcheck: ")
    assert json.loads(told.out)["exit_code"] == code
    return code


def test_the_files_that_are_mutated_say_what_they_should(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(folder, capsys, "--policy", "policy.toml", "--from", "bad.json") == 1
    assert gate(folder, capsys, "--policy", "policy.toml", "--from", "good.json") == 0
    (folder / "waived.toml").write_text(POLICY + WAIVER)
    assert gate(folder, capsys, "--policy", "waived.toml", "--from", "bad.json") == 0


@FUZZ
@given(data=st.data())
def test_no_mutated_result_that_failed_passes(
    folder: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    (folder / "r.json").write_bytes(mutated(data, (folder / "bad.json").read_bytes()))
    assert gate(folder, capsys, "--policy", "policy.toml", "--from", "r.json") != 0


@FUZZ
@given(data=st.data())
def test_no_mutated_result_that_passed_loses_a_claim_and_still_passes(
    folder: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    (folder / "r.json").write_bytes(mutated(data, (folder / "good.json").read_bytes()))
    if gate(folder, capsys, "--policy", "policy.toml", "--from", "r.json") == 0:
        tree = json.loads((folder / "r.json").read_bytes())
        (found,) = [one for one in tree["targets"] if one["target"] == TARGET]
        verdicts = {one["check"]: one["verdict"] for one in found["findings"]}
        wanted = [c for c in verdicts_of(folder) if c.partition(".")[0] in ("mask", "rate", "scale")]
        assert all(verdicts.get(check) in ("pass", "skipped") for check in wanted)


def verdicts_of(folder: Path) -> list[str]:
    return [one["check"] for one in json.loads((folder / "good.json").read_bytes())["targets"][0]["findings"]]


def required(tree: dict[str, Any], check: str) -> bool:
    """Whether a policy requires a check, read as a person would."""

    def names(prefix: str) -> bool:
        return (
            prefix == check
            or check.startswith(prefix.rstrip("*") + ".")
            or (prefix[-1:] == "*" and check.startswith(prefix[:-1]))
        )

    default = ["form", "mode", "mask", "rate", "scale"] if tree.get("preset") == "quick" else []
    wanted = tree.get("checks", default)
    return (not wanted or any(names(w) for w in wanted)) and not any(names(w) for w in tree.get("ignore", []))


def excused(tree: dict[str, Any]) -> bool:
    """Whether a tolerance or a waiver of a policy accepts the failure of bad.json (.32 for .3, interval .31 to .33)."""
    if tree.get("tolerances", {}).get("rate.marginal", 0) >= 0.0299:
        return True
    today = datetime.datetime.now(datetime.UTC).date()
    for one in tree.get("waiver", []):
        expires = one["expires"]
        when = one.get("when", {})
        if (
            one["check"] == "rate.marginal"
            and fnmatch.fnmatchcase(TARGET, one["target"])
            and (expires if isinstance(expires, datetime.date) else datetime.date.fromisoformat(expires)) >= today
            and when.get("dtype", "float32") == "float32"
            and when.get("mode", "eager") == "eager"
            and when.get("device", "cpu") == "cpu"
            and one.get("ceiling", 1) >= 0.0299
        ):
            return True
    return False


@FUZZ
@given(edits=EDITS, waived=st.booleans())
def test_a_mutated_policy_passes_a_failure_only_where_it_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], edits: list[tuple[float, int, bytes]], waived: bool
) -> None:
    data = edited((POLICY + (WAIVER if waived else "")).encode(), edits)
    (folder / "p.toml").write_bytes(data)
    if gate(folder, capsys, "--policy", "p.toml", "--from", "bad.json") == 0:
        tree = tomllib.loads(data.decode())
        assert not required(tree, "rate.marginal") or excused(tree)


KEYS = (
    "checks",
    "ignore",
    "preset",
    "targets",
    "on_missing",
    "max_age",
    "devices",
    "releases",
    "tolerances",
    "waiver",
    "speed",
)


@FUZZ
@given(
    key=st.sampled_from([*KEYS, "traits", "alpha", "patterns", "ratchet", "x"]),
    value=st.one_of(WORDS, NUMBERS, st.just([])),
)
def test_a_policy_with_one_value_replaced_passes_a_failure_only_where_it_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], key: str, value: Any
) -> None:
    text = json.dumps(value) if not isinstance(value, float) else repr(value)
    (folder / "p.toml").write_text(f"{key} = {text}\n" + "version = 1\n", encoding="utf-8", errors="replace")
    if gate(folder, capsys, "--policy", "p.toml", "--from", "bad.json") == 0:
        assert not required(tomllib.loads((folder / "p.toml").read_text()), "rate.marginal")


@FUZZ
@given(data=st.data())
def test_a_mutated_ratchet_passes_a_worse_figure_only_where_it_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    figure = f"resolution | {TARGET} | rate.marginal quick cpu"
    good = ratchet.Ratchet(machines={"Linux x86_64, 2 cores": {figure: 0.1}})
    ratchet.save(folder / "whole.json", good)
    (folder / "ratchet.json").write_bytes(mutated(data, (folder / "whole.json").read_bytes()))
    (folder / "ratcheted.toml").write_text('ratchet = "ratchet.json"\n' + POLICY)
    if gate(folder, capsys, "--policy", "ratcheted.toml", "--from", "good.json") == 0:
        kept = json.loads((folder / "ratchet.json").read_bytes())
        assert kept["machines"]["Linux x86_64, 2 cores"][figure] * 1.1 >= 0.5


@FUZZ
@given(data=st.data())
def test_no_mutated_bench_of_a_slow_target_passes(
    folder: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    slow = folder / "slow.json"
    if not slow.exists():
        records.save(bench(3000.0, spread=0.002), slow)
        results.save(audit(target="torch.Dropout1d"), folder / "torch.json")
        (folder / "speed.toml").write_text(
            'version = 1\ntargets = ["torch.Dropout1d"]\n[speed]\nreference = "custom.reference"\nmax_ratio = 1.1\n'
            'cells = ["64,256,1024"]\n'
        )
        assert gate(folder, capsys, "--policy", "speed.toml", "--from", "torch.json", "--from", "slow.json") == 1
    (folder / "b.json").write_bytes(mutated(data, slow.read_bytes()))
    assert gate(folder, capsys, "--policy", "speed.toml", "--from", "torch.json", "--from", "b.json") != 0
