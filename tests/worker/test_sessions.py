"""Sessions: never more than the pool's capacity, whoever asks at once, and all of them started ahead where that is wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dropcheck.worker.client import ProcessSession, TargetError
from dropcheck.worker.sessions import SessionPool


@dataclass
class Slow:
    """A session whose start takes a while, as a framework's import does."""

    started: list[float]
    closed: bool = False

    def submit(self, request: Mapping[str, Any]) -> None:
        pass

    def collect(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.closed = True


@dataclass
class SlowSpec:
    """What SessionSpec is to a pool; ``broken``: the first so many starts fail."""

    timeout_s: float = 60.0
    broken: int = 0
    started: list[float] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def start(self, number: int = 0) -> Slow:
        with self.lock:
            self.started.append(time.monotonic())
            number = len(self.started)
        time.sleep(0.1)
        if number <= self.broken:
            raise TargetError("does not start")
        return Slow(self.started)


def served(pool: SessionPool, askers: int) -> None:
    def one(_: int) -> None:
        session = pool.acquire()
        time.sleep(0.01)
        pool.release(session)

    with ThreadPoolExecutor(askers) as threads:
        list(threads.map(one, range(4 * askers)))


def test_askers_at_once_start_no_more_sessions_than_the_capacity() -> None:
    spec = SlowSpec()
    served(SessionPool(spec, capacity=2), askers=6)  # type: ignore[arg-type]
    assert len(spec.started) == 2


def test_warm_starts_what_may_be_needed_and_nothing_more() -> None:
    spec = SlowSpec()
    pool = SessionPool(spec, capacity=3)  # type: ignore[arg-type]
    first = pool.start()
    pool.warm()
    while len(pool.idle) < 2:
        time.sleep(0.01)
    pool.release(first)
    served(pool, askers=6)
    assert len(spec.started) == 3


def test_a_warm_start_that_fails_takes_no_place() -> None:
    spec = SlowSpec(broken=1)
    pool = SessionPool(spec, capacity=1)  # type: ignore[arg-type]
    pool.warm()
    while pool.starting:
        time.sleep(0.01)
    served(pool, askers=2)
    assert len(spec.started) == 2


def test_a_session_that_is_closed_while_somebody_waits_ends_his_wait_in_one_sentence() -> None:
    session = ProcessSession()
    said: list[BaseException] = []

    def wait() -> None:
        try:
            session.collect()
        except BaseException as error:
            said.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    session.close()
    waiting.join(30)
    assert [type(error) for error in said] == [TargetError] and session.printed() == ""


def test_a_worker_ends_with_the_audit_also_in_the_middle_of_a_call(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text("while True:\n    pass\n")
    session = ProcessSession()
    request = {"ask": "open", "locator": f"{tmp_path}/busy.py:layer", "source": "user", "pattern": "n c -> n c"}
    try:
        session.submit(request)
        session.pipe.close()  # as the system closes it when the audit is killed
        assert session.process.wait(60) == 1
    finally:
        session.abort()


def test_who_waits_for_a_session_waits_no_longer_than_the_audit_may() -> None:
    pool = SessionPool(SlowSpec(timeout_s=0.2), 1, deadline=time.monotonic() + 0.2)  # type: ignore[arg-type]
    pool.acquire()  # and never given back
    with pytest.raises(TargetError, match=r"time limit of 0\.2 s"):
        pool.acquire()
