"""Accidents: nesting without end, two audits in one folder, a full disk, many targets, calls that no memory holds."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kits.stored import finding, target

from dropcheck import cli
from dropcheck.auditing import journal
from dropcheck.auditing import run as auditing
from dropcheck.auditing.ledger import Ledger
from dropcheck.commands import progress
from dropcheck.contract import memory
from dropcheck.contract.errors import UsageError
from dropcheck.plan import request
from dropcheck.plan.request import Event
from dropcheck.results import audit as results
from dropcheck.results import journal as journals

DEEP = 200_000
NESTED = "[" * DEEP + "]" * DEEP


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    head = '{"schema": "dropcheck.result/1", "kind": "audit", "verdict": "pass", "environment": {"a": '
    (tmp_path / "deep.json").write_text(NESTED)
    (tmp_path / "inside.json").write_text(head + NESTED + "}}")
    (tmp_path / "bench.json").write_text('{"schema": "dropcheck.bench/1", "environment": ' + NESTED + "}")
    (tmp_path / "selftest.json").write_text(head.replace("audit", "selftest") + NESTED + "}}")
    (tmp_path / "ratchet.json").write_text(NESTED)
    (tmp_path / "deep.toml").write_text("version = 1\na = " + NESTED)
    return tmp_path


READERS = {
    "report": ["report", "FILE"],
    "verify": ["report", "FILE", "--verify"],
    "gate": ["gate", "--from", "FILE"],
    "compare": ["compare", "FILE", "FILE"],
    "waive": ["waive", "--from", "FILE", "--expires", "2099-01-01"],
    "trend": ["trend", "--history", "kept", "--add", "FILE"],
    "repro": ["repro", "FILE"],
}


@pytest.mark.parametrize("file", ["deep.json", "inside.json", "bench.json", "selftest.json"])
@pytest.mark.parametrize("reader", READERS)
def test_a_result_that_is_nested_without_end_is_damaged(
    folder: Path, capsys: pytest.CaptureFixture[str], reader: str, file: str
) -> None:
    code = cli.main([file if word == "FILE" else word for word in READERS[reader]])
    said = capsys.readouterr().err
    assert code == 2 and "fault of dropcheck" not in said and "Traceback" not in said, said[:500]
    assert said.startswith("dropcheck: ") and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["gate", "--policy", "deep.toml"],
        ["gate", "--set", "checks=" + NESTED],
        ["waive", "rate.one", "a", "--reason", "r", "--expires", "2099-01-01", "--policy", "deep.toml"],
        ["gate", "--set", 'ratchet="ratchet.json"', "custom.reference"],
    ],
)
def test_a_policy_that_is_nested_without_end_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code = cli.main(words)
    said = capsys.readouterr().err
    assert code == 2 and "fault of dropcheck" not in said and "Traceback" not in said, said[:500]


def test_ledgers_and_journals_that_are_nested_without_end_are_refused(folder: Path) -> None:
    (folder / "l").write_text(NESTED + "\n")
    with pytest.raises(UsageError, match="was changed at or just before line 1"):
        Ledger(folder / "l").check()
    for text in (NESTED, json.dumps({"journal": "dropcheck.journal/2", "request": "x"}) + "\n" + NESTED + "\n"):
        (folder / "j").write_text(text)
        with pytest.raises(UsageError, match=r"is no journal|is damaged at line 2"):
            journal.read(folder / "j", "x", {})


# --- two audits at once -------------------------------------------------------------------------------------------------

HOLD = "import sys\nfrom pathlib import Path\nfrom dropcheck.auditing import journal\n" + (
    "with journal.alone(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
)


@pytest.mark.parametrize(("option", "place"), [("--out", "o"), ("--json", "o/r.json")])
def test_a_second_audit_into_one_place_is_refused_and_loses_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, place: str
) -> None:
    kept = folder / "o" / ("journal.jsonl" if option == "--out" else "r.json.journal")
    kept.parent.mkdir()
    kept.write_text("of the first")
    command = [sys.executable, "-c", HOLD, str(kept)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        code = cli.main(["audit", "custom.reference", "--select", "rate.zero", option, place])
        said = capsys.readouterr().err
        assert code == 2 and said.startswith("dropcheck: another audit is writing to ")
        assert kept.read_text() == "of the first"
        first.communicate("")
    with journal.alone(kept):  # it ends with its process
        pass
    with journal.alone(None):
        pass


# --- a full disk --------------------------------------------------------------------------------------------------------


def no_room(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_what_stood_there_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "r.json").write_text("old")
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(
        results.DiskFull, match=r"r.json cannot be written: the disk is full; what stood there is unchanged"
    ):
        results.write_atomically(folder / "r.json", b"new")
    assert (folder / "r.json").read_text() == "old" and not list(folder.glob("*.part"))


def test_a_journal_on_a_full_disk_ends_with_a_whole_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder / "journal.jsonl"
    one, two, three = (target(name, [finding("form.empty", "pass")]) for name in "abc")
    journal.begin(place, "x", [], {})
    journal.append(place, one, "")
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        with pytest.raises(UsageError, match=r"the disk is full. It keeps the targets that finished before b") as told:
            journal.append(place, two, "")
    assert "--resume" in str(told.value)
    journal.append(place, three, "")  # there is room again
    assert list(journal.read(place, "x", {})) == ["a", "c"]


def test_a_ledger_on_a_full_disk_holds_what_it_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Ledger(folder / "l")
    run = kept.begin("t", {"a": 1})
    before = (folder / "l").read_bytes()
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        with pytest.raises(UsageError, match="the disk is full; it holds what it held before"):
            kept.finish(run, {"rate.marginal": {"c": 0.0}})
    assert (folder / "l").read_bytes() == before
    kept.finish(run, {"rate.marginal": {"c": 0.0}})
    kept.check()


def test_an_audit_whose_result_finds_no_room_keeps_its_journal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["audit", "custom.reference", "--select", "form.empty", "--json", "r.json", "--jobs", "1"]
    with monkeypatch.context() as full:
        full.setattr(results, "save", lambda *_: results.write_atomically(Path("r.json"), b"x" * 9))
        full.setattr(results, "_replaced", no_room)
        full.setattr(journals, "write_atomically", lambda path, data: path.write_bytes(data))
        assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "r.json cannot be written: the disk is full" in said and "fault of dropcheck" not in said
    assert "r.json.journal keeps the finished targets: make room and repeat the command with --resume" in said
    assert cli.main([*words, "--resume"]) == 0 and (folder / "r.json").exists()


def test_any_other_file_on_a_full_disk_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "run", no_room)
    assert cli.main(["audit", "custom.reference"]) == 2
    assert capsys.readouterr().err == "dropcheck: the disk is full; make room and repeat the command\n"


# --- many targets -------------------------------------------------------------------------------------------------------


def test_many_targets_are_told_before_any_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Event] = []

    def stop(_: Any) -> Any:
        assert [one.message for one in told] == ["preparing 300 targets"]
        raise UsageError("looked at")

    monkeypatch.setattr(auditing, "prepare", stop)
    names = tuple(f"mine.py:L{i}" for i in range(300))
    with pytest.raises(UsageError, match="looked at"):
        auditing.run(auditing.AuditRequest(targets=names), told.append)


@pytest.mark.parametrize("kind", [progress.Plain, progress.Live])
def test_the_line_about_many_targets_is_on_standard_error(
    kind: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with kind() as shown:
        shown(Event("", 0.0, 0.0, None, "preparing", "preparing 300 targets"))
    said = capsys.readouterr()
    assert "dropcheck: preparing 300 targets" in said.err and said.out == ""


# --- memory -------------------------------------------------------------------------------------------------------------

SHAPE = "100000,100000,10"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["audit", "custom.reference", "--shape", SHAPE, "--memory", "4000"],
            f"--shape {SHAPE} has 100,000,000,000 elements: input and output take 800.0 GB in float32, but "
            "--memory allows 4,000 MB",
        ),
        (
            ["audit", "custom.reference", "--shape", SHAPE, "--dtype", "float64,float16"],
            "input and output take 400.0 GB in float16, but this machine has 32.0 GB",
        ),
        (
            ["audit", "custom.reference", "--case", "float64 rate=.3 9,9,9 calls=4 batches=5,1000000000"],
            "in float64, but this machine has 32.0 GB",
        ),
        (["audit", "custom.reference", "--input", SHAPE], f"--input {SHAPE} has 100,000,000,000 elements"),
        (
            ["bench", "custom.reference", "--cell", "100000,100000,10", "--memory", "4000"],
            "has 100,000,000,000 elements: input and output take 800.0 GB in float32, but --memory allows 4,000 MB",
        ),
    ],
)
def test_a_call_that_no_memory_holds_is_refused_by_arithmetic(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda: 32_000_000_000)
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said and len(said.splitlines()) == 1


def test_what_fits_or_lies_elsewhere_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda: 8_000_000)
    memory.refuse("--shape", 1_000_000, "float32", None)
    memory.refuse("--shape", 10**12, "float32", None, here=False)
    with pytest.raises(UsageError, match="this machine has 8 MB"):
        memory.refuse("--shape", 1_000_001, "float32", None)
    monkeypatch.setattr(memory, "machine_bytes", lambda: None)
    memory.refuse("--shape", 10**12, "float32", None)
    request.prepare(request.AuditRequest(targets=("custom.reference",), shapes=((10**6, 10**6, 1),)))
