"""Shared tools: the command line as a user runs it, and small files of layers."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

# torch.compile imports setuptools late, which refuses to be imported after the standard library's distutils: first, therefore
import setuptools  # noqa: F401
from hypothesis import settings
from kits.forked import Parents
from kits.order import ordered

from dropcheck.worker import caches

# no example has a time limit: on a busy machine any may take its second
settings.register_profile("dropcheck", deadline=None)
settings.load_profile("dropcheck")

# what JAX compiles is kept, as workers keep it, also in this process and in scripts: many tests ask for the same programs
for variable, setting in caches.compiled().items():
    os.environ.setdefault(variable, setting)

# a shell that starts the tests in the background has them ignore Ctrl-C, and with them every process that they interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# each of several test processes on a processor of its own, with all that it starts: else each audit opens as many workers as
# the machine has processors, and each imports its framework anew
if (name := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    free = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {free[int(name.removeprefix("gw")) % len(free)]})


@pytest.hookimpl(trylast=True)  # after what is deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, each framework has one of them."""
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        items[:] = ordered(items)


def pytest_collection_finish() -> None:
    """What was imported by now is kept compiled, for the next process; files that tests write and write again are not."""
    gc.freeze()  # modules and tests stay: the search for garbage need not visit them again and again
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@dataclass
class Ran:
    """One run of the command line."""

    code: int
    out: str
    err: str
    folder: Path

    def result(self, name: str = "r.json") -> Any:
        """The result file that it wrote."""
        return json.loads((self.folder / name).read_text())


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run("audit", "x.py:Layer")``: the console command in a process of its own, in an empty folder."""

    def go(*words: str, timeout: float = 300.0, **variables: str) -> Ran:
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **variables}
        done = subprocess.run(
            [sys.executable, "-m", "dropcheck", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert "Traceback (most recent call last)" not in done.stderr.replace("    Traceback", ""), done.stderr
        return Ran(done.returncode, done.stdout, done.stderr, tmp_path)

    return go


@pytest.fixture(scope="session")
def parents() -> Iterator[Parents]:
    """Processes that have imported a framework and fork once for each program."""
    made = Parents()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """``@pytest.mark.workers("torch")``: worker processes are forks of one that has imported this, which costs its seconds once.

    A worker's memory, folder, variables, output and end stay its own. What a process does while it starts goes without.
    """
    if mark := request.node.get_closest_marker("workers"):
        from dropcheck.worker import client

        request.getfixturevalue("parents").workers_of(monkeypatch, client, ("numpy", *mark.args))


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``call("audit", "x.py:Layer")``: the command as ``run`` has it, in this process, which has imported everything once.

    Layers run in worker processes, as they do for users; with ``inside=True`` they run in this process, too. What the
    process itself is asked for (signals, what is imported, two commands at once) goes by ``run``.
    """
    from dropcheck import cli
    from dropcheck.auditing import run as auditing
    from dropcheck.worker.caller_state import untouched

    audit, plan = auditing.run, auditing.plan

    def go(*words: str, inside: bool = False, **variables: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        loaded = set(sys.modules)
        with monkeypatch.context() as here, contextlib.ExitStack() as stack:
            for name, value in {"NO_COLOR": "1", "COLUMNS": "100", **variables}.items():
                here.setenv(name, value)
            here.setattr(sys, "argv", ["dropcheck", *words])
            here.chdir(tmp_path)
            if inside:
                stack.enter_context(untouched())
                here.setattr(auditing, "run", lambda asked, told=None: audit(_inside(asked), told))
                here.setattr(auditing, "plan", lambda asked: plan(_inside(asked)))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            code = cli.main(list(words))
        for name in set(sys.modules) - loaded:  # files of this folder; the next has others of the same names
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]
        said = err.getvalue()
        assert "Traceback (most recent call last)" not in said.replace("    Traceback", ""), said
        return Ran(code, out.getvalue(), said, tmp_path)

    return go


def _inside(asked: Any) -> Any:
    """The request of an audit, for this process."""
    return replace(asked, in_process=True, jobs=1)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """``write("mine.py", source)``: a file in the folder of ``run``."""

    def put(name: str, source: str) -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(source))
        return path

    return put
