"""Workers that are forks of processes which have imported a framework: their ends, what is refused, and that fresh stays fresh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dropcheck
from dropcheck.plan import shared_imports
from dropcheck.worker import stems
from dropcheck.worker.client import ProcessSession, Refused, TargetError, ask
from dropcheck.worker.sessions import SessionSpec
from dropcheck.worker.starting import Start
from dropcheck.worker.stems import Stem

pytestmark = pytest.mark.skipif(not stems.possible(), reason="processes are forked on Linux only")

# a seed from a text's hash or from an address is the same within a process and another one in each new process
LAYERS = '''
import numpy as np


def by_hash(x, rate, *, training, rng):
    """Wrong: what it draws follows from the seed of Python's hashes."""
    if not training or rate == 0:
        return x
    other = np.random.default_rng([int(rng.integers(2**31)), hash("spatial") % 2**31])
    return np.where(other.random(x.shape[:2])[..., None] >= rate, x / (1 - rate), 0) if rate < 1 else 0 * x


def by_address(x, rate, *, training, rng):
    """Wrong: what it draws follows from where NumPy lies in memory."""
    if not training or rate == 0:
        return x
    other = np.random.default_rng([int(rng.integers(2**31)), id(np.ndarray.sum)])
    return np.where(other.random(x.shape[:2])[..., None] >= rate, x / (1 - rate), 0) if rate < 1 else 0 * x


def right(x, rate, *, training, rng):
    """By its generator alone."""
    if not training or rate == 0:
        return x
    return np.where(rng.random(x.shape[:2])[..., None] >= rate, x / (1 - rate), 0) if rate < 1 else 0 * x
'''


@pytest.fixture
def stem() -> Iterator[Stem]:
    made = Stem(Start(stem=("colorsys",)))
    yield made
    made.close()


def test_each_fork_is_a_worker_of_its_own_and_its_end_is_told(stem: Stem) -> None:
    one, two = ProcessSession(fork=stem.fork), ProcessSession(fork=stem.fork)
    pids = {one.process.pid, two.process.pid, stem.process.pid}
    assert len(pids) == 3 and os.getpgid(one.process.pid) == one.process.pid
    assert one.process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        one.process.wait(0)
    one.stop()
    assert one.process.wait(20) == 0
    two.abort()
    assert two.process.wait(20) == -signal.SIGKILL
    with pytest.raises(TargetError, match="ended by signal SIGKILL"):
        ask(two, "layers", locator="x")
    one.close()
    two.close()


def test_what_a_forked_worker_prints_is_its_own(stem: Stem, tmp_path: Path) -> None:
    (tmp_path / "said.py").write_text("print('said by', __name__)\nraise SystemExit(3)\n")
    one, two = ProcessSession(fork=stem.fork), ProcessSession(fork=stem.fork)
    with pytest.raises(Refused):
        ask(one, "open", locator=f"{tmp_path / 'said.py'}:Layer", source="user", pattern=None)
    assert "said by" in one.printed() and two.printed() == ""
    one.close()
    two.close()


@pytest.mark.parametrize(
    ("name", "text", "on_path"),
    [
        ("absent", "", False),
        ("raising", "raise ImportError", False),
        ("threaded", "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", False),
        ("of_a_user", "", True),
    ],
)
def test_where_a_fork_is_not_safe_a_worker_is_started_by_itself(
    name: str, text: str, on_path: bool, tmp_path: Path
) -> None:
    if name != "absent":
        (tmp_path / f"{name}.py").write_text(text)
    path, variables = ((str(tmp_path),), ()) if on_path else ((), (("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}"),))
    made = Stem(Start(environment=variables, path=path, stem=(name,)))
    session = ProcessSession(fork=made.fork)
    try:
        assert isinstance(session.process, subprocess.Popen)
    finally:
        session.close()
        made.close()


def test_an_import_that_hangs_takes_no_more_than_the_time_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text("import threading\nthreading.Event().wait()\n")
    start = Start(environment=(("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}"),), stem=("hanging",))
    spec = SessionSpec("x", "user", environment=start.environment, stem=start.stem, timeout_s=0.2)
    with stems.shared([spec.begin(), spec.begin()]):
        session = spec.bare()  # of its own, and not 120 s later: then the test would not end
        assert isinstance(session, ProcessSession) and isinstance(session.process, subprocess.Popen)
        session.close()
        for made in stems._runs[-1].made[spec.begin()]:
            made.process.kill()  # they are given a second to end by themselves


def test_a_worker_outlives_no_session_whose_stem_was_killed(stem: Stem) -> None:
    session = ProcessSession(fork=stem.fork)
    stem.process.kill()
    assert session.process.wait(20) == -signal.SIGKILL  # nobody can tell its end any more
    session.close()
    assert stem.fork(0, 0) is None


@pytest.fixture
def of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets of NumPy share imports, too: what two origins are good for shows in any framework."""
    monkeypatch.setattr(shared_imports, "modules", lambda target: ("numpy",))


def _apart(folder: Path, *names: str) -> dict[str, str]:
    """By target: the verdict on two processes that have the same seed."""
    (folder / "layers.py").write_text(LAYERS)
    result = dropcheck.audit(
        *(f"{folder / 'layers.py'}:{name}" for name in names), select=("seed.reproducible",), dtype="float32", jobs=1
    )
    return {
        target.target.rpartition(":")[2]: finding.verdict
        for target in result.targets
        for finding in target.findings
        if finding.case.endswith("fresh process")
    }


def test_forks_of_two_origins_show_what_differs_between_processes(of_numpy: None, tmp_path: Path) -> None:
    found = _apart(tmp_path, "by_hash", "by_address", "right")
    assert found == {"by_hash": "fail", "by_address": "fail", "right": "pass"}


def test_forks_of_one_origin_would_not(of_numpy: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stems, "EACH", 1)
    assert _apart(tmp_path, "by_hash", "by_address") == {"by_hash": "pass", "by_address": "pass"}


def test_one_target_alone_shares_with_nobody() -> None:
    start = Start(stem=("numpy",))
    with stems.shared([start, Start(path=("x",), stem=("numpy",))]):
        assert stems.forks(start, 0) is None
    with stems.shared([Start(), Start()]):  # nothing to share
        assert stems.forks(Start(), 0) is None
    assert stems.forks(start, 0) is None
