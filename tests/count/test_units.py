"""Work units: cut by the plan alone, counted by any executor, merged to the same findings, cheap to lose."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropcheck.auditing.finished_units import Store, plain
from dropcheck.auditing.run import AuditRequest, run
from dropcheck.contract.cases import Case
from dropcheck.contract.errors import UsageError
from dropcheck.count import gather, units
from dropcheck.count.coins import WORD
from dropcheck.count.gather import Counted, Work, count
from dropcheck.count.units import UNIT_COINS, Unit, split
from dropcheck.report.sentences import case_words
from dropcheck.results.audit import Finding, Result
from dropcheck.worker.server import wire
from dropcheck.worker.sessions import SessionSpec

# a case of four units and a smaller one of one unit, counted by every kind of statistic
CASES = ("float32 rate=0.5 1025,64,1 calls=256", "float32 rate=0.3 33,17,3 calls=640")
NAMES = ("mask", "rate.marginal", "rate.per-channel", "rate.per-sample", "scale.kept-values")


def request(**more: Any) -> AuditRequest:
    return AuditRequest(targets=("custom.reference",), cases=CASES, select=NAMES, profile="standard", **more)


def facts(result: Result) -> Any:
    """Everything that a result says, without seconds, loads and what happened to processes."""
    (target,) = result.targets
    assert target.error is None, target.error
    return msgspec.to_builtins(target.findings), target.verdict, target.coins


@contextlib.contextmanager
def smaller() -> Iterator[None]:
    """Units of a quarter of their size: as many from a quarter of the coins."""
    with pytest.MonkeyPatch.context() as here:
        here.setattr(units, "UNIT_COINS", UNIT_COINS // 4)
        yield


@pytest.fixture(scope="module")
def alone() -> Any:
    with smaller():
        return facts(run(request(jobs=1)))


@pytest.fixture
def small() -> Iterator[None]:
    with smaller():
        yield


@given(
    rows=st.integers(1, 5000),
    channels=st.integers(1, 2000),
    calls=st.integers(1, 200_000),
    batches=st.lists(st.integers(1, 300), max_size=4),
)
def test_units_cover_every_call_once_in_whole_words(rows: int, channels: int, calls: int, batches: list[int]) -> None:
    case = Case("float32", 0.3, rows, channels, 2, calls, batches=tuple(batches))
    units = split(case)
    assert sum(u.calls for u in units) == calls
    assert [u.index for u in units] == list(range(len(units)))
    step = WORD * max(1, len(batches))
    assert all(u.calls % step == 0 for u in units[:-1])
    per_call = max(1, case.coins // calls)
    assert all(u.calls * per_call <= 1.5 * max(UNIT_COINS, step * per_call) for u in units)


def test_the_first_unit_has_the_seed_of_its_case_and_no_two_units_share_one() -> None:
    case = Case("float32", 0.5, 4097, 64, 4, 2000)
    units = split(case)
    assert len(units) > 3
    seeds = [u.seed(7, "t") for u in units]
    assert len(set(seeds)) == len(seeds)
    (small,) = split(Case("float32", 0.5, 4097, 64, 4, 20))
    assert seeds[0] != small.seed(7, "t"), "cases differ"


def test_neither_two_sessions_nor_four_change_a_finding(small: None, alone: Any) -> None:
    assert len(split(Case("float32", 0.5, 1025, 64, 1, 256))) == 4
    assert facts(run(request(jobs=2))) == alone
    assert facts(run(request(jobs=4))) == alone


def test_in_process_counts_the_same(small: None, alone: Any) -> None:
    assert facts(run(request(in_process=True, jobs=1))) == alone


def workers() -> list[psutil.Process]:
    return [
        p
        for p in psutil.Process().children(recursive=True)
        if any("worker" in part and "__main__" in part for part in p.cmdline())
    ]


def test_a_killed_worker_costs_nothing_but_its_unit(small: None, alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of a worker in the middle of a unit: the unit is counted again elsewhere, and nothing else changes."""
    killed: list[int] = []
    take, guard = gather._take, threading.Lock()

    def kill_and_take(*answer: Any) -> None:
        with guard:  # a first answer of eight has come, by the worker that has done most so far
            if not killed:
                busiest = max(workers(), key=lambda process: process.cpu_times().user)
                killed.append(busiest.pid)
                os.kill(busiest.pid, signal.SIGKILL)
        take(*answer)

    monkeypatch.setattr(gather, "_take", kill_and_take)
    result = run(request(jobs=2))
    assert killed
    assert facts(result) == alone
    assert result.targets[0].traits["workers lost and replaced"] == 1


def test_a_layer_that_ends_its_own_process_is_an_error_not_a_lost_worker(tmp_path: Any) -> None:
    place = tmp_path / "mine.py"
    place.write_text(
        "import os, signal\n"
        "def drop(x, rate, *, training, rng):\n"
        "    if x.shape[0] == 33: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return x * (rng.random(x.shape[:2])[:, :, None] >= rate) / (1 - rate)\n"
    )
    result = run(AuditRequest(targets=(f"{place}:drop",), cases=CASES, select=NAMES, jobs=2))
    assert "SIGSEGV" in str(result.targets[0].error)


@pytest.fixture
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", memory_limit=0
        ) as cluster,
    ):
        yield cluster.scheduler_address


def test_a_dask_cluster_gives_the_identical_result(small: None, scheduler: str, alone: Any) -> None:
    assert facts(run(request(dask=scheduler))) == alone


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda *a, **more: client(*a, **{**more, "timeout": "1s"}))
    with pytest.raises(UsageError, match=r"no Dask scheduler at 'tcp://127\.0\.0\.1:9'"):
        run(request(dask="tcp://127.0.0.1:9"))


# --- units on disk --------------------------------------------------------------------------------------------------


def counted_unit() -> Counted:
    spec = SessionSpec(locator="custom.reference", source="spatial_dropouts:implementations", in_process=True)
    session = spec.start()
    contract = session.collect()["contract"]
    case = Case("float32", 0.5, 33, 17, 3, 128, batches=(33, 1))
    counted = count(session, Work(Unit(case, 1, 128), spec, contract, 5, "t"))
    counted.clock.gather_s = 10.0  # worth keeping
    return counted


def test_a_unit_comes_back_from_the_disk_as_it_was(tmp_path: Path) -> None:
    counted = counted_unit()
    store = Store(tmp_path / "units", "mark")
    store.put("t", counted)
    again = Store(tmp_path / "units", "mark").get("t", counted.unit)
    assert again is not None
    assert wire.encode({"c": plain(again)}) == wire.encode({"c": plain(counted)})
    assert again.tally.merge(counted.tally).rows == 2 * counted.tally.rows
    assert store.get("other", counted.unit) is None
    assert Store(tmp_path / "units", "another run").get("t", counted.unit) is None


def test_a_damaged_unit_is_counted_again_and_a_damaged_store_is_refused(tmp_path: Path) -> None:
    counted = counted_unit()
    store = Store(tmp_path / "units", "mark")
    store.put("t", counted)
    with store.file:
        data = store.file.execute("SELECT data FROM units").fetchone()[0]
        store.file.execute("UPDATE units SET data = ?", (data[:-1] + bytes([data[-1] ^ 1]),))
    assert store.get("t", counted.unit) is None
    (tmp_path / "noise").write_bytes(b"no database at all " * 100)
    with pytest.raises(UsageError, match="cannot be used"):
        Store(tmp_path / "noise", "mark")


def test_a_full_disk_is_told_once_and_costs_no_unit(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path / "units", "mark", said.append)
    store.file.execute("PRAGMA max_page_count = 8")  # what SQLite says then is what it says of a full disk
    counted = counted_unit()
    for name in "abcdefgh" * 8:
        store.put(name, counted)
    store.forget("a")
    (sentence,) = said
    assert "full" in sentence and str(tmp_path / "units") in sentence and "goes on without" in sentence
    store.close(remove=True)


def test_units_that_a_new_run_discards_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journal = tmp_path / "journal"
    Store(tmp_path / "journal.units", "mark").put("t", counted_unit())
    request = AuditRequest(
        targets=("custom.reference",), select=("mode.inference",), journal=journal, in_process=True, causes=False
    )
    run(request)
    assert "1 finished unit of a run that was killed" in capfd.readouterr().err
    run(request)
    assert capfd.readouterr().err == "", "the run that ended by itself has left nothing"


def test_units_stay_where_the_suite_itself_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dropcheck.auditing import dispatch

    def fails(*_: Any) -> Any:
        raise RuntimeError("a fault of the suite")

    monkeypatch.setattr(dispatch, "judge", fails)
    result = run(
        AuditRequest(
            targets=("custom.reference",),
            select=("mask.whole-channels",),
            rates=(0.3,),
            dtypes=("float32",),
            journal=tmp_path / "journal",
            in_process=True,
        )
    )
    assert "dropcheck itself failed" in str(result.targets[0].error)
    assert (tmp_path / "journal.units").exists()


SLOW = """
import threading
import time
def drop(x, rate, *, training, rng):
    if x.shape[0] == 1025:
        with open({log!r}, "a") as f: f.write("x")
        time.sleep(.004)
    return x * (rng.random(x.shape[:2])[:, :, None] >= rate) / (1 - rate)
"""


def test_a_run_killed_in_the_middle_of_a_target_goes_on_from_its_units(tmp_path: Path) -> None:
    """kill -9 of the whole run; --resume gives the findings of an unbroken one and flips fewer coins again."""
    log = tmp_path / "calls"
    (tmp_path / "mine.py").write_text(SLOW.format(log=str(log)))
    words = [sys.executable, "-m", "dropcheck", "audit", "mine.py:drop", "--select", "mask", "--jobs", "1"]
    words += ["--case", "float32 rate=0.5 1025,64,1 calls=900", "--ignore", "mask.whole-channels"]

    def start(name: str, *more: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen([*words, "--json", name, *more], cwd=tmp_path, stdout=quiet, stderr=quiet)

    assert start("whole.json").wait(300) in (0, 3)
    calls = log.stat().st_size
    log.unlink()
    broken = start("broken.json")
    kept = tmp_path / "broken.json.journal.units"
    end = time.monotonic() + 200
    while time.monotonic() < end and not _rows(kept):
        time.sleep(0.05)
    broken.send_signal(signal.SIGKILL)
    broken.wait(30)
    assert _rows(kept) and not (tmp_path / "broken.json").exists()
    log.unlink()
    assert start("broken.json", "--resume").wait(300) in (0, 3)
    assert log.stat().st_size < calls
    one, two = (json.loads((tmp_path / n).read_text()) for n in ("whole.json", "broken.json"))
    assert one["targets"][0]["findings"] == two["targets"][0]["findings"]
    assert not kept.exists()


def _rows(path: Path) -> int:
    if not path.exists():
        return 0
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as file:
        return int(file.execute("SELECT count(*) FROM units").fetchone()[0])
    return 0


def test_a_report_says_by_how_many_layers_the_calls_of_a_case_are_made() -> None:
    one = Finding(check="rate.marginal", case="float32 rate=0.3 1025,64,1 calls=1366", verdict="pass", message="")
    assert case_words(one) == "float32 rate=0.3 1025,64,1 calls=1366 (by 4 layers, at most 384 calls each)"
    for alone in ("float32 rate=0.3 257,64,4 calls=84", "float32 rate=0.5 9,17,3 calls=256 seeds", "float32 inference"):
        assert case_words(msgspec.structs.replace(one, case=alone)) == alone
