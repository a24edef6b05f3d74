"""A bench that was stopped goes on where it was: finished rounds of processes are on disk, and their samples stay."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kits.bench import Workshop, audit_file, bench, died

from dropcheck.auditing.machine import describe
from dropcheck.contract.errors import UsageError
from dropcheck.results import bench as records

ONE, TWO = "custom.reference", "torch.Dropout1d"


class Stopped(Workshop):
    """Ctrl-C while the second round of processes is opened."""

    def __call__(self, lane: Any, plan: Any) -> Any:
        if len(self.sessions) == 4:
            raise KeyboardInterrupt
        return super().__call__(lane, plan)


def never(names: Any) -> Any:
    raise AssertionError("what was audited is not audited again")


def of_round(result: records.BenchResult, number: int) -> list[records.Sample]:
    return [s for s in result.samples if s.process == number]


def test_what_is_finished_is_kept_and_only_the_rest_is_measured(tmp_path: Path) -> None:
    journal = tmp_path / "r.json.journal"
    broken = bench(Stopped(), ONE, TWO, journal=journal)
    assert broken.interrupted and of_round(broken, 0)
    workshop = Workshop(seed=2)
    whole = bench(workshop, ONE, TWO, journal=journal, resume=True, audit=never)
    assert of_round(whole, 0) == of_round(broken, 0)
    assert {s.process for s in whole.samples} == set(range(whole.processes)) and not whole.interrupted
    assert whole.resumed == 1 and len(workshop.sessions) == 3 * (whole.processes - 1)
    assert [t.audit and t.audit.verdict for t in whole.targets] == ["pass", "pass"]
    # what is finished now is in the journal as well
    assert len(journal.read_bytes().splitlines()) == 1 + whole.processes


def test_trouble_of_a_finished_round_is_remembered(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    cells = ("64,256,1024 forward", "64,256,1024 backward")

    class Both(Stopped):
        def __init__(self) -> None:
            super().__init__(refuse={TWO: {"backward": died()}})

    bench(Both(), ONE, TWO, cells=cells, journal=journal)
    whole = bench(Workshop(), ONE, TWO, cells=cells, journal=journal, resume=True, audit=never)
    told = {(s.target, whole.cells[s.cell].split()[-1]): s.reason for s in whole.speeds if s.state == "error"}
    assert list(told) == [(TWO, "backward")] and "SIGKILL" in told[TWO, "backward"]


def test_nothing_to_go_on_with_is_a_new_bench(tmp_path: Path) -> None:
    result = bench(Workshop(), ONE, journal=tmp_path / "j", resume=True)
    assert result.resumed == 0 and result.samples


@pytest.mark.parametrize(
    ("damage", "options", "words"),
    [
        (lambda d: d, {"blocks": 3}, "belongs to a bench with other options or another layer, machine or release"),
        (lambda d: d, {"seed": 7}, "belongs to a bench with other options or another layer, machine or release"),
        (lambda d: b"{}\n", {}, "is no journal of a bench"),
        (lambda d: b"", {}, "is no journal of a bench"),
        (lambda d: d.replace(b'"device_ns"', b'"device_us"', 1) + b"{}\n", {}, "is damaged at line 2"),
    ],
)
def test_a_journal_that_does_not_fit_is_refused(tmp_path: Path, damage: Any, options: Any, words: str) -> None:
    journal = tmp_path / "j"
    bench(Stopped(), ONE, TWO, journal=journal)
    journal.write_bytes(damage(journal.read_bytes()))
    with pytest.raises(UsageError, match=words):
        bench(Workshop(), ONE, TWO, journal=journal, resume=True, **options)


@pytest.mark.parametrize(
    ("name", "other"),
    [("processor", lambda: "another"), ("describe", lambda: {**describe(), "packages": {"torch": "9.9"}})],
)
def test_another_processor_or_release_does_not_go_on(tmp_path: Path, monkeypatch: Any, name: str, other: Any) -> None:
    journal = tmp_path / "j"
    bench(Stopped(), ONE, TWO, journal=journal)
    monkeypatch.setattr(f"dropcheck.speed.run.{name}", other)
    with pytest.raises(UsageError, match="belongs to a bench with other options"):
        bench(Workshop(), ONE, TWO, journal=journal, resume=True)


def test_a_line_that_a_kill_cut_short_is_measured_again(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    bench(Workshop(), ONE, processes=3, journal=journal)
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) - 40])
    again = bench(Workshop(seed=5), ONE, processes=3, journal=journal, resume=True, audit=never)
    assert again.resumed == 2 and {s.process for s in again.samples} == {0, 1, 2}


LAYER = """
import numpy as np

def right(x, rate, *, training, rng):
    return np.where(rng.random((*x.shape[:2], 1)) < rate, x.dtype.type(0), x * x.dtype.type(1 / (1 - rate)))
"""


def begun(folder: Path, at_least: int, *more: str) -> subprocess.Popen[str]:
    """A bench of 500 rounds that has come to the given one."""
    words = [
        "bench",
        "mine.py:right",
        "--cell",
        "4,64,16 forward",
        "--processes",
        "500",
        "--blocks",
        "2",
        "--slot",
        "1ms",
    ]
    words += ["--threads", "1", "--json", "r.json", "--audit", "audit.json", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "dropcheck", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for said in process.stderr:  # progress is told every few seconds
        if (told := re.search(r"process (\d+) of 500", said)) and int(told[1]) >= at_least:
            break
    return process


def test_kill_9_loses_at_most_the_round_that_it_hits(write: Any, tmp_path: Path) -> None:
    write("mine.py", LAYER)
    audit_file(tmp_path / "audit.json", "mine.py:right")
    process = begun(tmp_path, 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len((tmp_path / "r.json.journal").read_bytes().split(b"\n")) - 2
    assert kept >= 1 and not (tmp_path / "r.json").exists()
    process = begun(tmp_path, kept + 1, "--resume")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    result = records.load(tmp_path / "r.json")
    assert kept <= result.resumed <= kept + 1 and of_round(result, 0)
    assert (tmp_path / "r.json.journal").exists()


def test_resume_needs_the_place_of_the_result(call: Any) -> None:
    ran = call("bench", "custom.reference", "--resume")
    assert ran.code == 2 and "give the --out DIR or --json FILE of the interrupted run" in ran.err
