"""Histories: append-only, each result once, whole after kill -9, and nothing lost beside other writers."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kits import stored

from dropcheck.contract.errors import UsageError
from dropcheck.report.compare import audits
from dropcheck.results.audit import Result, ResultError
from dropcheck.results.history import entries, stores

# it adds result files and tells of each; nothing is imported but what a history needs
WRITER = """
import pathlib, sys
from dropcheck.results.history import entries
from dropcheck.results.history import stores
for name in sys.argv[2:]:
    stores.at(sys.argv[1]).add(pathlib.Path(name).read_bytes(), entries.now())
    print(name, flush=True)
"""
CHECKS = [c for c in stored.BY_NAME if c != "rate.marginal"]


def one(seed: int = 7, name: str = "mine.py:Layer", **changed: object) -> Result:
    found = [stored.rate(480_160, 1_600_000), stored.finding("mask.distinct-samples", "pass")]
    return stored.result(stored.target(name, found), seed=seed, **changed)


def written(folder: Path, name: str, count: int) -> list[str]:
    """Result files of a target, each of another seed."""
    some = [stored.rate(480_160, 1_600_000), *(stored.finding(check, "pass") for check in CHECKS)]
    files = [folder / f"{name}{seed}.result" for seed in range(count)]
    for seed, file in enumerate(files):
        file.write_bytes(entries.encoded(stored.result(stored.target(f"{name}.py:Layer", some), seed=seed)))
    return [str(file) for file in files]


def writer(place: str, files: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, place, *files], stdout=subprocess.PIPE, text=True)


@pytest.fixture(params=["folder", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "kept" / "results")
    pytest.importorskip("sqlalchemy")
    return str(tmp_path / "kept" / "h.db")


@pytest.mark.parametrize("packages", [None, "torch 2.13.0", ["torch"], 7])
def test_packages_that_are_no_table_are_unknown(packages: object) -> None:
    odd = one(environment={"packages": packages, "cores": 2})
    assert entries.entry(entries.encoded(odd), entries.now(), "odd.json").dropcheck == ""
    (side, _) = audits.compare([odd, one()], ["odd.json", "new.json"]).sides
    assert side.packages == {}


def test_a_result_is_kept_once_and_comes_back_as_it_was(place: str) -> None:
    assert not stores.at(place).exists()
    assert stores.record(place, one()).endswith(": added")
    assert stores.record(place, one()).endswith(": this very result is kept there already")
    assert stores.record(place, one(seed=8)).endswith(": added")
    history = stores.at(place)
    assert history.exists()
    kept = history.entries()
    assert sorted(e.seed for e in kept) == [7, 8]
    (mine,) = [e for e in kept if e.seed == 7]
    assert history.document(mine.id) == entries.encoded(one())
    (target,) = mine.targets
    assert (target.target, target.version, target.pattern) == ("mine.py:Layer", "2.13.0", "n c l -> n c")
    rate = next(c for c in target.claims if c.check == "rate.marginal")
    assert (rate.verdict, rate.estimate, rate.expected) == ("pass", 0.3001, 0.3)
    assert rate.resolution == stored.rate(480_160, 1_600_000).resolution


def test_entries_come_in_the_order_of_time_and_the_first_of_two_stands(place: str) -> None:
    history = stores.at(place)
    days = {3: "2026-03-01T00:00:00Z", 1: "2026-01-01T00:00:00Z", 2: "2026-02-01T00:00:00Z"}
    for seed, day in days.items():
        history.add(entries.encoded(one(seed=seed)), day)
    history.add(entries.encoded(one(seed=1)), "2026-04-01T00:00:00Z")
    assert [(e.seed, e.recorded[:10]) for e in history.entries()] == [(n, days[n][:10]) for n in (1, 2, 3)]


def test_runs_of_one_second_stand_in_the_order_in_which_they_came(place: str) -> None:
    for seed in range(1, 9):
        stores.record(place, one(seed=seed))
    assert [e.seed for e in stores.at(place).entries()] == list(range(1, 9))


def test_a_day_begins_before_every_moment_of_it_however_that_was_written() -> None:
    day = entries.moment("2026-03-01", "--since")
    assert (
        day <= "2026-03-01T00:00:00Z" and day <= "2026-03-01T00:00:00.000001Z" and day > "2026-02-28T23:59:59.999999Z"
    )


def test_a_path_and_the_url_of_that_path_are_one_history(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    stores.record(str(tmp_path / "h.db"), one())
    assert len(stores.at(f"sqlite:///{tmp_path}/h.db").entries()) == 1


def test_an_interrupted_run_is_not_kept(place: str) -> None:
    assert stores.record(place, one(interrupted=True)).endswith("an interrupted run is not kept")
    assert not stores.at(place).exists()


def test_characters_that_databases_refuse_are_kept_visible(place: str) -> None:
    stores.record(place, one(name="nul\0 and <b>'; drop table dropcheck_runs; --"))
    (entry,) = stores.at(place).entries()
    assert entry.targets[0].target == "nul\\u0000 and <b>'; drop table dropcheck_runs; --"


def test_several_processes_on_one_place_lose_nothing(place: str, tmp_path: Path) -> None:
    a, b, c = (written(tmp_path, name, 12) for name in "abc")
    writers = [writer(place, a + b), writer(place, b[::-1] + c)]  # both write the results of b
    for each in writers:
        each.communicate(timeout=120)
        assert each.returncode == 0
    kept = stores.at(place).entries()
    assert sorted((e.targets[0].target, e.seed) for e in kept) == [
        (f"{n}.py:Layer", i) for n in "abc" for i in range(12)
    ]
    assert {len(e.targets[0].claims) for e in kept} == {len(stored.BY_NAME)}


def test_a_writer_that_is_killed_leaves_everything_whole(place: str, tmp_path: Path) -> None:
    with writer(place, written(tmp_path, "a", 300)) as killed:
        assert killed.stdout is not None
        told = [killed.stdout.readline() for _ in range(5)]
        os.kill(killed.pid, signal.SIGKILL)
        told += killed.stdout.readlines()
    assert len(told) < 300
    history = stores.at(place)
    kept = history.entries()
    assert {e.seed for e in kept} >= set(range(len(told))), "what was said to be added is there"
    assert {len(e.targets[0].claims) for e in kept} == {len(stored.BY_NAME)}
    for e in kept:
        assert entries.digest(history.document(e.id)) == e.id
    stores.record(place, one(seed=-1))
    assert len(stores.at(place).entries()) == len(kept) + 1


def test_a_folder_of_ones_own_results_is_a_history(tmp_path: Path) -> None:
    (tmp_path / "nightly.json").write_bytes(entries.encoded(one()))
    os.utime(tmp_path / "nightly.json", (1_700_000_000, 1_700_000_000))
    (entry,) = stores.at(str(tmp_path)).entries()
    assert entry.recorded == "2023-11-14T22:13:20Z"


def _newer(path: Path) -> str:
    stores.record(str(path), one())
    with sqlite3.connect(path) as connection:
        connection.execute("update dropcheck_schema set version = 2")
    return str(path)


def _damaged(path: Path) -> str:
    stores.record(str(path), one())
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 20000)
    return str(path)


def _elsewhere(path: Path) -> str:
    path.write_text("no database")
    return str(path)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (_newer, "has schema 2, this release of dropcheck knows 1: it was made by a newer release; update dropcheck"),
        (_damaged, "h.db: "),
        (_elsewhere, "is neither an SQLite database nor a folder"),
        (lambda path: "mysql://host/name", "knows no 'mysql' databases"),
        (lambda path: "postgres://host/name", "the nearest is 'postgresql'"),
        (lambda path: "sqlite://", "names no file"),
        (lambda path: "postgresql://me:secret@127.0.0.1:1/none", "refused"),
        (lambda path: f"{os.devnull}/h.db", "h.db"),
    ],
)
def test_what_cannot_be_a_history_is_one_sentence(made: Callable[[Path], str], sentence: str, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    with pytest.raises(UsageError) as told:
        stores.record(made(tmp_path / "h.db"), one(seed=9))
    text = str(told.value)
    assert sentence in text and "\n" not in text and "secret" not in text


def test_a_damaged_file_of_a_folder_is_named(tmp_path: Path) -> None:
    stores.record(str(tmp_path), one())
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ResultError, match=r"bad\.json is damaged at line 1"):
        stores.at(str(tmp_path)).entries()


def test_without_sqlalchemy_a_folder_works_and_a_database_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delitem(sys.modules, "dropcheck.results.history.database", raising=False)
    stores.record(str(tmp_path / "kept"), one())
    assert len(stores.at(str(tmp_path / "kept")).entries()) == 1
    with pytest.raises(UsageError, match=r"pip install 'dropcheck\[history\]'"):
        stores.record(str(tmp_path / "h.db"), one())


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own, by hand, on a socket in a folder: nothing of the machine's is touched."""
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed here: there is no initdb")
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path("/tmp") / f"dropcheck-postgresql-{os.getpid()}"  # short, as a socket's path must be
    folder.mkdir(mode=0o700)
    try:
        if user is not None:
            shutil.chown(folder, user)
        data, binaries = folder / "data", Path(initdb).resolve().parent
        try:
            subprocess.run(
                [initdb, "-D", str(data), "-A", "trust", "-U", "dropcheck", "--no-sync"],
                user=user,
                cwd=folder,
                check=True,
                capture_output=True,
            )
        except (LookupError, OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"PostgreSQL does not start here: {error}")
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        subprocess.run([*control, "-o", settings, "start"], user=user, cwd=folder, check=True, capture_output=True)
        try:
            yield f"postgresql://dropcheck@/postgres?host={folder}"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], user=user, cwd=folder, check=True, capture_output=True
            )
    finally:
        shutil.rmtree(folder)


def test_postgresql_keeps_the_same_and_loses_nothing(postgresql: str, tmp_path: Path) -> None:
    test_several_processes_on_one_place_lose_nothing(postgresql, tmp_path)
    history = stores.at(postgresql)
    before = len(history.entries())
    hostile = one(name="nul\0", seed=99)
    assert stores.record(postgresql, hostile).endswith(": added")
    assert stores.record(postgresql, hostile).endswith(": this very result is kept there already")
    kept = history.entries()
    assert len(kept) == before + 1
    assert all(entries.digest(history.document(e.id)) == e.id for e in kept)
