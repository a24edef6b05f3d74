"""Workers of several targets that share one import: forks of two processes that have imported a framework and called nothing.

Two, since a fork shares with its origin what a process draws when it starts: the seed of Python's hashes, and where libraries
lie in memory. The first two workers of a target come from different ones, so that a layer that takes its seed from either
has other masks in a fresh process, as between processes that were started one by one. No target is opened in such a process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dropcheck.worker.server.stem import NUMBER
from dropcheck.worker.starting import Start

START_TIMEOUT_S = 120.0
EACH = 2  # processes that workers are forks of


class Grown:
    """A worker that was forked, as ``subprocess.Popen`` has a process."""

    def __init__(self, pid: int, told: int, args: str | Sequence[str] = "a forked worker") -> None:
        self.args, self.pid, self.told = args, pid, told
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, once it has. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self.told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            try:
                (self.returncode,) = NUMBER.unpack(os.read(self.told, NUMBER.size))
            except struct.error:  # whoever would tell was killed itself
                self.returncode = -signal.SIGKILL
            os.close(self.told)
        assert self.returncode is not None
        return self.returncode


class Stem:
    """A process that imports what a start names and forks workers. One that cannot, forks none: they are started one by one."""

    def __init__(self, start: Start) -> None:
        self.line, theirs = socket.socketpair()
        self.alone = threading.Lock()
        with theirs:
            self.process = subprocess.Popen(
                start.command(theirs.fileno(), stem=start.stem),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=start.variables(),
            )

    def fork(self, pipe: int, log: int, limit_s: float = START_TIMEOUT_S) -> Grown | None:
        """A worker that serves ``pipe`` and writes what it prints to ``log``, both descriptors; None where there is none.

        ``limit_s``: seconds to wait for it. The import may still go on, and a target's time is its own.
        """
        told, telling = os.pipe()
        try:
            with self.alone:
                socket.send_fds(self.line, [b"x"], [telling, log, pipe])
        except OSError:
            os.close(told)
            return None
        finally:
            os.close(telling)
        pid = 0
        if select.select([told], [], [], min(limit_s, START_TIMEOUT_S))[0]:
            with contextlib.suppress(struct.error):
                (pid,) = NUMBER.unpack(os.read(told, NUMBER.size))
        if pid:
            return Grown(pid, told)
        os.close(told)
        return None

    def close(self) -> None:
        """End the process; its workers have ends of their own."""
        self.line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


@dataclass
class _Shared:
    """The processes of one run, made when the first worker of a kind is asked for, both at once."""

    kinds: frozenset[Start]
    made: dict[Start, list[Stem]] = field(default_factory=dict)
    alone: threading.Lock = field(default_factory=threading.Lock)

    def of(self, start: Start, number: int) -> Stem | None:
        if start not in self.kinds:
            return None
        with self.alone:
            if start not in self.made:
                self.made[start] = [Stem(start) for _ in range(EACH)]
        return self.made[start][number % EACH]

    def close(self) -> None:
        for stem in (one for some in self.made.values() for one in some):
            stem.close()


_runs: list[_Shared] = []


def possible() -> bool:
    """Whether processes are forked here at all: elsewhere libraries of the system do not survive it."""
    return sys.platform == "linux" and hasattr(socket, "send_fds")


@contextlib.contextmanager
def shared(starts: Iterable[Start]) -> Iterator[None]:
    """Share imports among workers that start alike, in this block, where at least two targets do. ``starts``: one a target."""
    often = frozenset(one for one, count in Counter(starts).items() if count > 1 and one.stem)
    run = _Shared(often if possible() else frozenset())
    _runs.append(run)
    try:
        yield
    finally:
        _runs.remove(run)
        run.close()


def forks(start: Start, number: int, limit_s: float = START_TIMEOUT_S) -> Any:
    """``Stem.fork`` for the worker of that number among those of its target; None where each is started by itself.

    ``limit_s``: seconds that the target has, for an import that is not done yet, too.
    """
    for run in _runs:
        stem = run.of(start, number)
        if stem is not None:
            return partial(stem.fork, limit_s=limit_s)
    return None
