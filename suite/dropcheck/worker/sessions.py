"""Sessions with one target: opened, lent to whoever counts, and replaced when a worker process is lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dropcheck.contract.modes import EAGER
from dropcheck.worker import stems, visible_devices
from dropcheck.worker.client import LocalSession, ProcessSession, Refused, Session, TargetError, timed_out
from dropcheck.worker.starting import Start


@dataclass(frozen=True)
class SessionSpec:
    """How a target is opened, as plain data: on this machine or on another one of a cluster.

    ``token`` tells two audits of one target in one process apart; ``timeout_s`` bounds one lending where no deadline stands.
    ``stem``: modules whose import its workers may share with those of other targets.
    """

    locator: str
    source: str
    pattern: str | None = None
    inference: str | None = None
    mode: str = EAGER
    device: str = "cpu"
    python: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    path: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    timeout_s: float = 600.0
    memory_mb: int | None = None
    in_process: bool = False
    token: str = ""
    stem: tuple[str, ...] = ()

    def begin(self) -> Start:
        """How its worker processes are started."""
        environment = {**visible_devices.variables(self.device, self.mode), **dict(self.environment)}
        return Start(self.python, tuple(environment.items()), self.path, self.packages, self.stem)

    def bare(self, number: int = 0) -> Session:
        """A session that has opened nothing, the ``number``-th of its target. Raises TargetError."""
        if self.in_process:
            return LocalSession()
        begin = self.begin()
        return ProcessSession(
            python=self.python,
            environment=dict(begin.environment),
            path=self.path,
            packages=self.packages,
            timeout_s=self.timeout_s,
            memory_mb=self.memory_mb,
            fork=stems.forks(begin, number, self.timeout_s),
        )

    def start(self, number: int = 0) -> Session:
        """A session that is about to open the target: its answer is still to be collected. Raises TargetError."""
        session = self.bare(number)
        request: dict[str, str | None] = {
            "ask": "open",
            "locator": self.locator,
            "source": self.source,
            "pattern": self.pattern,
        }
        if self.inference is not None:
            request["inference"] = self.inference
        session.submit({**request, "mode": self.mode, "device": self.device})
        return session


@dataclass
class SessionPool:
    """Up to ``capacity`` sessions of one target; whoever asks for more waits. ``deadline`` is in monotonic seconds."""

    spec: SessionSpec
    capacity: int = 1
    deadline: float | None = None
    idle: list[Session] = field(default_factory=list)
    every: list[Session] = field(default_factory=list)
    starting: int = 0  # sessions that somebody has begun to start and that are not in ``every`` yet
    begun: int = 0  # sessions that were ever started: the first two are of different origin where imports are shared
    closed: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> Session:
        """A further session, not yet open; ``opened`` collects its answer. Counts against the capacity at once."""
        with self.changed:
            number, self.begun = self.begun, self.begun + 1
        session = self.spec.start(number)
        with self.changed:
            self.every.append(session)
            if self.closed:
                _abort(session)
        self._limit(session)
        return session

    def _limit(self, session: Session) -> None:
        if isinstance(session, ProcessSession):
            session.deadline = self.deadline if self.deadline is not None else time.monotonic() + self.spec.timeout_s

    def acquire(self) -> Session:
        """An open session for the asker alone. Raises TargetError or Refused where the target does not open."""
        with self.changed:
            while not self.idle and len(self.every) + self.starting >= self.capacity and not self.closed:
                self.changed.wait(0.5)
                if self.deadline is not None and time.monotonic() > self.deadline:
                    raise TargetError(f"{timed_out(self.spec.timeout_s)}: its workers were busy until then")
            if self.closed:
                raise TargetError("the audit was stopped")
            if self.idle:
                session = self.idle.pop()
                self._limit(session)
                return session
            self.starting += 1  # taken before the lock is let go: two who ask at once must not both start the last one
        return self._started()

    def _started(self) -> Session:
        """A further open session, which ``starting`` counts already."""
        try:
            session = self.start()
        finally:
            with self.changed:
                self.starting -= 1
        try:
            session.collect()
        except BaseException:
            self.discard(session)
            raise
        return session

    def warm(self) -> None:
        """Start all sessions that may be needed, beside whatever else goes on; one that does not open is asked for again."""
        with self.changed:
            missing = self.capacity - len(self.every) - self.starting
            self.starting += max(0, missing)
        for _ in range(missing):
            threading.Thread(target=self._warmed, daemon=True).start()

    def _warmed(self) -> None:
        with contextlib.suppress(TargetError, Refused):
            self.release(self._started())

    def release(self, session: Session) -> None:
        """Give a session back."""
        with self.changed:
            self.idle.append(session)
            self.changed.notify()

    def discard(self, session: Session) -> None:
        """Close a session that is of no more use; another may take its place."""
        with self.changed:
            if session in self.every:
                self.every.remove(session)
            self.changed.notify()
        session.close()

    def abort(self) -> None:
        """Kill all sessions at once; whoever waits for one gets a TargetError."""
        with self.changed:
            self.closed = True
            for session in self.every:
                _abort(session)
            self.changed.notify_all()

    def close(self) -> None:
        """End all sessions."""
        with self.changed:
            self.closed = True
            sessions, self.every, self.idle = self.every, [], []
            self.changed.notify_all()
        for session in sessions:
            if isinstance(session, ProcessSession):
                session.stop()
        for session in sessions:
            session.close()


def _abort(session: Session) -> None:
    if isinstance(session, ProcessSession | LocalSession):
        session.abort()


_pools: dict[SessionSpec, SessionPool] = {}
_guard = threading.Lock()


def pool_of(spec: SessionSpec, capacity: int = 1) -> SessionPool:
    """The pool of a target in this process; a process that serves other targets lets go of theirs when they are idle."""
    with _guard:
        pool = _pools.get(spec)
        if pool is None:
            for other, old in list(_pools.items()):
                if old.deadline is None and len(old.idle) == len(old.every):
                    old.close()
                    del _pools[other]
            pool = _pools[spec] = SessionPool(spec, capacity)
        return pool


@contextmanager
def opened_pool(spec: SessionSpec, capacity: int, deadline: float) -> Iterator[SessionPool]:
    """The pool of one audit, closed at its end."""
    pool = pool_of(spec, capacity)
    pool.deadline = deadline
    try:
        yield pool
    finally:
        pool.close()
        with _guard:
            _pools.pop(spec, None)


def abort_all() -> None:
    """Kill the sessions of all audits of this process (Ctrl-C)."""
    with _guard:
        pools = list(_pools.values())
    for pool in pools:
        pool.abort()
