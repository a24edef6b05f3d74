"""A process that has imported a framework and called nothing: it forks once for each worker, which goes on by itself."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import struct
import sys
from typing import Dict, List, Optional, Sequence

from dropcheck.worker.server.collecting import uncollected

NUMBER = struct.Struct("<q")  # what is told of a worker: its process (0: none was started), and later how it ended


def forked(descriptor: int, modules: Sequence[str], path: Sequence[str]) -> Optional[int]:
    """In each worker the descriptor of its pipe; None in this process, once nobody asks it for workers any more.

    Raises what an import of ``modules`` raises. Of folders in ``path``, which are a user's, no module may be here: what runs in
    this process is shared by all workers.
    """
    with uncollected():
        for module in modules:
            importlib.import_module(module)
    gc.freeze()
    line = socket.socket(fileno=descriptor)
    return _Stem(line).serve() if not _from(path) else None


def _from(folders: Sequence[str]) -> List[str]:
    """Modules that were imported from these folders."""
    roots = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
    files = [str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())]
    return [file for file in files if file and os.path.realpath(file).startswith(roots)] if roots else []


def _alone() -> bool:
    """Whether this process has one thread: a fork of one that has more may find locks that nobody will ever open."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class _Stem:
    """Starts a worker for each request that comes through the line, and tells of each its process and its end."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.ends: Dict[int, int] = {}  # process -> where its end is told
        self.woken, self.waking = socket.socketpair()  # the end of a worker wakes this process up
        self.woken.setblocking(False)
        self.waking.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.waking.fileno())

    def serve(self) -> Optional[int]:
        with selectors.DefaultSelector() as chosen:
            chosen.register(self.line, selectors.EVENT_READ)
            chosen.register(self.woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in chosen.select()}
                if self.woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        self.woken.recv(4096)
                    self._reap()
                if self.line not in ready:
                    continue
                letter, passed, _, _ = socket.recv_fds(self.line, 1, 3)
                if not letter:
                    return None
                pipe = self._start(*passed)
                if pipe is not None:
                    return pipe

    def _reap(self) -> None:
        for pid, end in list(self.ends.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self.ends[pid]
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                with contextlib.suppress(BrokenPipeError):  # nobody asks any more
                    os.write(end, NUMBER.pack(code))
                os.close(end)

    def _start(self, end: int, log: int, pipe: int) -> Optional[int]:
        """One worker: in it, the descriptor of its pipe; here None."""
        pid = os.fork() if _alone() else -1
        if pid == 0:
            self._become(end, log)
            return pipe
        with contextlib.suppress(BrokenPipeError):
            os.write(end, NUMBER.pack(max(0, pid)))
        if pid > 0:
            self.ends[pid] = end
        for one in (log, pipe, *(() if pid > 0 else (end,))):
            os.close(one)
        return None

    def _become(self, end: int, log: int) -> None:
        """A process of its own: its group, its output, its random state. Python's own is seeded anew by the fork."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for one in (end, log, *self.ends.values()):
            os.close(one)
        for here in (self.line, self.woken, self.waking):
            here.close()
        random = sys.modules.get("numpy.random")
        if random is not None:
            random.seed()
