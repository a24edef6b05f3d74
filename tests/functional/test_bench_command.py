"""`dropcheck bench` and the pytest plugin as a user runs them, on real processes; no test here asserts a time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from kits.bench import audit_file

from dropcheck.auditing import run as auditing
from dropcheck.plan.request import AuditRequest
from dropcheck.results import bench as records

LAYERS = """
import os, signal
import numpy as np

def right(x, rate, *, training, rng):
    if not training or rate == 0:
        return x
    return np.where(rng.random((*x.shape[:2], 1)) < rate, x.dtype.type(0), x * x.dtype.type(1 / (1 - rate)))

def hungry(x, rate, *, training, rng):
    if x.shape[0] > 4:
        raise MemoryError(f"Unable to allocate {x.nbytes * 1000} bytes")
    return right(x, rate, training=training, rng=rng)

def killed(x, rate, *, training, rng):
    if x.shape[0] > 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return right(x, rate, training=training, rng=rng)

def frozen(x, rate, *, training, rng):
    return right(x, rate, training=training, rng=np.random.default_rng(1))
"""
CELLS = ("--cell", "4,64,16 forward", "--cell", "16,64,16 forward")
SHORT = ("--processes", "2", "--blocks", "2", "--slot", "1ms", "--threads", "1", "--json", "r.json", "--noise", "99")


@pytest.fixture
def layers(write: Any, tmp_path: Path) -> Any:
    write("mine.py", LAYERS)
    names = [f"mine.py:{n}" for n in ("right", "hungry", "killed", "frozen")]
    audit_file(tmp_path / "audit.json", *names, "torch.Dropout1d")
    return write


def test_side_by_side_with_one_that_runs_out_of_memory_one_that_is_killed_and_a_frozen_mask(
    call: Any, layers: Any
) -> None:
    names = [f"mine.py:{n}" for n in ("right", "hungry", "killed", "frozen")]
    ran = call("bench", *names, *CELLS, *SHORT, "--audit", "audit.json", "--history", "kept")
    assert ran.code == 3, ran.err
    result = records.load(ran.folder / "r.json")
    told = {
        (s.target.partition(":")[2], result.cells[s.cell].split(",")[0]): (s.state, s.reason) for s in result.speeds
    }
    assert {told["right", n][0] for n in ("4", "16")} == {"measured"}
    assert told["hungry", "4"][0] == told["killed", "4"][0] == "measured"
    assert "out of memory: MemoryError: Unable to allocate" in told["hungry", "16"][1]
    assert "SIGKILL" in told["killed", "16"][1]
    assert told["frozen", "4"] == ("error", "two calls drew the same mask: a frozen mask would be timed")
    assert "Smallest difference that this run detects" in ran.out and "audit pass" in ran.out
    assert "History kept: added" in ran.out and len(list((ran.folder / "kept").glob("*.json*"))) >= 1
    for host in result.hosts:
        assert host.threads["processors"] in (1, None)
    # every raw sample is there
    per = [s for s in result.samples if s.what == "target" and s.target == "mine.py:right" and not s.again]
    assert len(per) == 2 * 2 * 2 and all(s.device_ns > 0 and s.loops > 0 for s in per)


def test_an_audit_is_made_first_where_none_is_given(call: Any, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = auditing.run

    def of_one_dtype(asked: AuditRequest, told: Any = None) -> Any:
        assert not (asked.select or asked.dtypes or asked.cases), "the whole of quick is asked"
        return audit(replace(asked, dtypes=("float32",)), told)

    monkeypatch.setattr(auditing, "run", of_one_dtype)
    write("mine.py", LAYERS.replace("(*x.shape[:2], 1)", "(x.shape[0], 1, 1)"))
    ran = call("bench", "mine.py:right", *CELLS[:2], *SHORT)
    assert ran.code == 1
    (speed,) = records.load(ran.folder / "r.json").speeds
    assert speed.state == "disqualified" and speed.reason.startswith("fails ")
    assert "auditing 1 target first" in ran.err


def test_an_absent_device_is_said_and_the_others_finish(call: Any, layers: Any) -> None:
    ran = call("bench", "mine.py:right", *CELLS[:2], *SHORT, "--audit", "audit.json", "--device", "cuda")
    assert ran.code == 3 and "runs on the CPU only" in ran.out


@pytest.mark.slow
@pytest.mark.workers("torch._dynamo", "torch._inductor.compile_fx")
@pytest.mark.parametrize("direction", ["forward", pytest.param("backward", marks=pytest.mark.long)])
def test_compiled_and_eager_side_by_side(call: Any, layers: Any, tmp_path: Path, direction: str) -> None:
    """A kernel of the compiler takes seconds: a forward pass has one for training, a backward pass two more."""
    pytest.importorskip("torch")
    audit_file(tmp_path / "both.json", "torch.Dropout1d", "torch.Dropout1d@compiled")
    words = ("torch.Dropout1d", "torch.Dropout1d@compiled", "--cell", f"4,64,16 {direction}")
    once = ("--processes", "1", *SHORT[2:])  # every process compiles anew
    ran = call("bench", *words, *once, "--audit", "both.json")
    result = records.load(ran.folder / "r.json")
    assert {s.state for s in result.speeds} == {"measured"}, ran.out
    made = {s.compilations for s in result.setups if s.target.endswith("compiled")}
    assert all(n and n > 0 for n in made), "the compiler was entered"
    assert {s.compilations for s in result.setups if s.target == "torch.Dropout1d"} == {0}


def test_pytest_benchmark_reads_what_is_exported(call: Any, layers: Any) -> None:
    ran = call("bench", "mine.py:right", *CELLS, *SHORT, "--audit", "audit.json", "--pytest-json", "p.json")
    assert ran.code == 0, ran.out + ran.err
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(ran.folder / "p.json"), "--csv", "p.csv"],
        cwd=ran.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "mine.py:right[4,64,16 float32 rate=0.5 forward]" in done.stdout + done.stderr


def test_the_same_cells_run_under_pytest(layers: Any, tmp_path: Path) -> None:
    layers(
        "test_speed.py",
        """
        import pytest
        from dropcheck.pytest_plugin import cells

        @cells("mine.py:right", "torch.Dropout1d", cell=["4,64,16 forward", "4,64,16 strided backward"])
        def test_speed(dropcheck_benchmark, target, cell):
            import torch

            torch.set_num_threads(3)
            info = dropcheck_benchmark(target, cell, rounds=3, slot_ms=1, audit="audit.json" if "mine" in target else None)
            assert info["bytes"] > 0
            assert torch.get_num_threads() == 3

        @cells("mine.py:right", cell=["4,64,16 forward"])
        def test_an_audit_of_another_state_of_the_file(dropcheck_benchmark, target, cell):
            with open("mine.py", "a") as file:
                file.write("# edited\\n")
            info = dropcheck_benchmark(target, cell, rounds=3, slot_ms=1, audit="audit.json")
            assert "state of its file" in info["audit"] and "limit_s" not in info

        @cells("keras.SpatialDropout1D@jax", cell=["4,64,16 forward"])
        def test_a_backend_that_this_process_has_not(dropcheck_benchmark, target, cell):
            dropcheck_benchmark(target, cell)

        @pytest.mark.xfail(raises=pytest.fail.Exception, strict=True)
        @cells("mine.py:right", cell=["4,64,16 forward"])
        def test_an_audit_that_is_not_there(dropcheck_benchmark, target, cell):
            dropcheck_benchmark(target, cell, rounds=3, slot_ms=1, audit="none.json")
        """,
    )
    # installed, the plugin loads by itself, and pytest refuses to load it twice
    loads = any(p.value == "dropcheck.pytest_plugin" for p in entry_points(group="pytest11"))
    plugin = [] if loads else ["-p", "dropcheck.pytest_plugin"]
    words = ["--benchmark-only", "--benchmark-json", "p.json", "-q", "-rs"]
    command = [sys.executable, "-m", "pytest", *plugin, *words, "test_speed.py"]
    # a pytest of its own: what tells this one that it is a worker of pytest-xdist must not reach it
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, env=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 skipped" in done.stdout and "no gradient" in done.stdout
    assert "run pytest with KERAS_BACKEND=jax" in done.stdout
    found = json.loads((tmp_path / "p.json").read_text())["benchmarks"]
    assert len(found) == 4
    for one in found:
        info = one["extra_info"]
        assert {"bytes", "device_s", "host_s"} <= set(info)
        limit = {"limit_s", "fraction_of_limit"}
        assert info["audit"].startswith("its audit") or info["audit"] == (
            "pass" if "mine" in info["target"] else "none"
        )
        assert limit & set(info) == (limit if info["audit"] == "pass" else set())
        assert one["stats"]["rounds"] == 3 and one["group"] == one["extra_info"]["cell"]


def test_importing_the_plugin_loads_no_framework_no_scipy_no_pandas() -> None:
    heavy = "{'torch', 'tensorflow', 'jax', 'keras', 'scipy', 'pandas', 'mlx', 'flax'}"
    for what in ("dropcheck.pytest_plugin", "dropcheck.cli", "dropcheck.commands.bench", "dropcheck.speed.cells"):
        code = f"import sys, {what}; found = {heavy} & set(sys.modules); print(sorted(found)); sys.exit(bool(found))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, f"{what} loads {done.stdout}"


def test_kill_9_harms_no_file(layers: Any, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("what was there")
    command = [sys.executable, "-m", "dropcheck", "bench", "mine.py:right", *CELLS, *SHORT, "--audit", "audit.json"]
    command[command.index("--processes") + 1] = "500"
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    process.stderr.readline()  # it has begun
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "r.json").read_text() == "what was there"
    assert not [p for p in os.listdir(tmp_path) if p.endswith(".part")]


def test_ctrl_c_writes_what_was_measured(layers: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dropcheck", "bench", "mine.py:right", *CELLS, *SHORT, "--audit", "audit.json"]
    command[command.index("--processes") + 1] = "500"
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for said in process.stderr:  # progress is told every few seconds: the first round is then over
        if (told := re.search(r"process (\d+) of 500", said)) and int(told[1]) >= 2:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    result = records.load(tmp_path / "r.json")
    assert result.interrupted and result.samples and "Interrupted" in out


def test_bad_words_are_exit_code_2(call: Any, layers: Any) -> None:
    assert call("bench", "mine.py:right", "--profile", "quik").code == 2
    assert "the nearest is 'forward'" in call("bench", "mine.py:right", "--cell", "4,4,4 forwards").err
    ran = call("bench", "mine.py:right", "--audit", "missing.json")
    assert ran.code == 2 and "cannot read the result missing.json" in ran.err
    assert call("compare", "missing.json", "missing.json").code == 2
    layers("other.json", "{}")
    ran = call("compare", "audit.json", "other.json")
    assert ran.code == 2 and "other.json has schema None" in ran.err


def test_the_plan_says_what_would_run(call: Any, layers: Any) -> None:
    ran = call("bench", "mine.py:right", "--profile", "standard", "--plan")
    assert ran.code == 0 and "64,256,1024 float32 rate=0.5 backward" in ran.out and "9 fresh processes" in ran.out


def test_compare_as_a_user_runs_it(call: Any, layers: Any, tmp_path: Path) -> None:
    assert call("bench", "mine.py:right", *CELLS[:2], *SHORT, "--audit", "audit.json").code == 0
    os.replace(tmp_path / "r.json", tmp_path / "old.json")
    assert call("bench", "mine.py:hungry", *CELLS[:2], *SHORT, "--audit", "audit.json").code == 0
    ran = call("compare", "old.json", "r.json")
    assert ran.code == 3 and "1 missing, 1 new" in ran.out


def test_the_library_measures_as_the_command_does(layers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dropcheck

    monkeypatch.chdir(tmp_path)
    result = dropcheck.bench(
        "mine.py:right",
        cells=("4,64,16 forward",),
        processes=1,
        blocks=2,
        slot_ms=1.0,
        threads=1,
        noise=99,
        audit=tmp_path / "audit.json",
    )
    assert [s.state for s in result.speeds] == ["measured"] and result.wall_s > 0
    assert len(records.frame(result)) == len(result.samples) > 0
