"""The suite's end of the pipe: start a worker, ask it, watch its time and memory, and say how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, Protocol

from dropcheck.worker.server import wire
from dropcheck.worker.starting import Start

_TOO_OLD = 78  # as server/__main__.py ends under an interpreter that it does not run on
_SLICE_S = 0.2  # how often time and memory are looked at while an answer is awaited
START_TIMEOUT_S = 120.0


def timed_out(limit_s: float) -> str:
    """The sentence for a target that has used up its time, in seconds."""
    return f"stopped after the time limit of {limit_s:g} s (--timeout sets another)"


class TargetError(Exception):
    """The target could not be audited further: one sentence, and details to show indented under it.

    ``killed``: somebody else ended the worker (SIGKILL), which says nothing about the layer. ``usage``: what was asked for
    cannot be done at all. ``fault``: the suite's own code went wrong, which says nothing about the layer either.
    """

    def __init__(
        self,
        sentence: str,
        details: str | None = None,
        killed: bool = False,
        usage: bool = False,
        fault: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.details, self.killed, self.usage, self.fault = details, killed, usage, fault


class Refused(Exception):
    """The layer raised: where (construct, call, gradient, unsupported, ...), its type and its own words."""

    def __init__(self, where: str, kind: str, message: str, lines: list[str]) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.where, self.kind, self.message, self.lines = where, kind, message, lines


class Session(Protocol):
    """Somebody who answers requests: a worker process, or a worker in this process."""

    def submit(self, request: Mapping[str, Any]) -> None:
        """Send a request without waiting; one at a time."""
        ...

    def collect(self) -> dict[str, Any]:
        """The answer to the submitted request. Raises Refused or TargetError."""
        ...

    def close(self) -> None:
        """End the session."""
        ...


def ask(session: Session, what: str, **request: Any) -> dict[str, Any]:
    """Send a request and wait for its answer."""
    session.submit({"ask": what, **request})
    return session.collect()


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        error = answer["error"]
        if "lost" in answer:
            raise TargetError(str(answer["lost"]))
        if "fault" in answer:
            raise TargetError(
                f"dropcheck itself failed: {answer['fault']}; this is a fault of dropcheck, not of the layer",
                "\n".join(error["traceback"]),
                fault=True,
            )
        raise Refused(answer["where"], error["type"], error["message"], error["traceback"])
    return answer


class LocalSession:
    """A worker in this process, for library calls and tests; generators and modes are restored at the end."""

    def __init__(self) -> None:
        from dropcheck.worker.server.answers import Worker

        self.worker = Worker()
        self._answers: deque[dict[str, Any]] = deque()
        self._stack = contextlib.ExitStack()
        self._preserved = self._stopped = False

    def submit(self, request: Mapping[str, Any]) -> None:
        if self._stopped:
            raise TargetError("the audit was stopped")
        self._answers.append(self.worker.handle(dict(request)))
        if self.worker.adapter is not None and not self._preserved:
            self._stack.enter_context(self.worker.adapter.preserved())
            self._preserved = True

    def collect(self) -> dict[str, Any]:
        return _checked(self._answers.popleft())

    def abort(self) -> None:
        """Refuse every further request; the one that is being answered comes to its end."""
        self._stopped = True

    def close(self) -> None:
        self._stack.close()


class ProcessSession:
    """A worker process: spawned, in its own process group, with its own log of what the layer printed.

    ``deadline`` is in ``time.monotonic()`` seconds, ``memory_mb`` bounds the resident size. ``fork``: who may have one at hand
    that starts alike; see ``stems``.
    """

    def __init__(
        self,
        *,
        python: str | None = None,
        environment: Mapping[str, str] | None = None,
        path: tuple[str, ...] = (),
        packages: tuple[str, ...] = (),
        deadline: float = float("inf"),
        timeout_s: float = float("inf"),
        memory_mb: int | None = None,
        fork: Callable[[int, int], Any] | None = None,
    ) -> None:
        self.deadline, self.timeout_s, self.memory_mb = deadline, timeout_s, memory_mb
        self.python = python or sys.executable
        self._told = False
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the session
        self.start = time.monotonic()
        own, theirs = socket.socketpair()
        start = Start(python, tuple((environment or {}).items()), path, packages)
        try:
            forked = fork(theirs.fileno(), self.log.fileno()) if fork is not None else None
            self.process = forked or subprocess.Popen(
                start.command(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=start.variables(),
            )
        except OSError as error:
            own.close()
            theirs.close()
            raise TargetError(f"the interpreter {python!r} does not start: {error.strerror or error}") from error
        theirs.close()
        self.pipe = Connection(own.detach())
        self.deadline_start = min(deadline, self.start + START_TIMEOUT_S)
        try:
            self._receive(self.deadline_start)
        except TargetError:
            self.close()
            raise
        self.started_s = time.monotonic() - self.start

    def submit(self, request: Mapping[str, Any]) -> None:
        try:
            self.pipe.send_bytes(wire.encode(dict(request)))
        except (BrokenPipeError, ConnectionError, OSError):
            raise self._ended() from None

    def collect(self) -> dict[str, Any]:
        return _checked(self._receive(self.deadline))

    def printed(self) -> str:
        """The last lines of what the worker wrote to standard output and error; nothing of a session that is closed."""
        try:
            self.log.seek(0, os.SEEK_END)
            size = self.log.tell()
            self.log.seek(max(0, size - 4000))
            return self.log.read().decode(errors="replace")
        except ValueError:  # closed by another thread, while this one waited for an answer
            return ""

    def stop(self) -> None:
        """Tell the worker to end and do not wait: those of several that are told first end side by side."""
        if not self._told and self.process.poll() is None:
            self._told = True
            with contextlib.suppress(OSError):
                self.pipe.send_bytes(wire.encode({"ask": "stop"}))

    def close(self) -> None:
        """Stop the worker and everything that it started."""
        self.stop()
        if self._told:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
        self._kill()
        self.pipe.close()
        self.log.close()

    def abort(self) -> None:
        """Kill the worker at once; whoever waits for it gets a TargetError."""
        self._kill()

    def _kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except PermissionError:
            pass
        except ProcessLookupError:  # it has ended, or was just forked and is not in its group yet
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)

    def _receive(self, deadline: float) -> dict[str, Any]:
        try:
            while not self.pipe.poll(_SLICE_S):
                if time.monotonic() > deadline:
                    self._kill()
                    limit = self.timeout_s if deadline == self.deadline else START_TIMEOUT_S
                    raise TargetError(
                        f"{timed_out(limit)}: it hangs or needs longer",
                        self.printed() or None,
                    )
                self._watch_memory()
            return wire.decode(self.pipe.recv_bytes())
        except (EOFError, ConnectionError, OSError):
            raise self._ended() from None

    def _watch_memory(self) -> None:
        if self.memory_mb is None:
            return
        import psutil

        try:
            used = psutil.Process(self.process.pid).memory_info().rss / 2**20
        except psutil.Error:
            return
        if used > self.memory_mb:
            self._kill()
            raise TargetError(
                f"stopped at {used:.0f} MB of resident memory: the limit is {self.memory_mb} MB (--memory sets another)",
                self.printed() or None,
            )

    def _ended(self) -> TargetError:
        """Why the worker is no longer there."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2.0)
        code = self.process.poll()
        if code is None:
            self._kill()
            sentence = "the worker closed its pipe"
        elif code < 0:
            name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else str(-code)
            hint = " (the system kills a process so when memory runs out)" if name == "SIGKILL" else ""
            sentence = f"the worker process was ended by signal {name}{hint}"
        else:
            sentence = f"the worker process ended by itself with exit status {code}"
        if code == _TOO_OLD:
            # its version is all that it printed
            return TargetError(
                f"dropcheck's worker needs Python 3.9 or newer; {self.python} is {self.printed().strip()[-8:]}",
                usage=True,
            )
        return TargetError(sentence, self.printed() or None, killed=code == -signal.SIGKILL)
