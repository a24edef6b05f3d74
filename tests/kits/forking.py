"""The process that ``kits.forked`` starts: it imports what it is asked for and forks once for each program."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

NUMBER = struct.Struct("<q")  # what is told of a program: its process, and later how it ended


def _child(argv: list[str], cwd: str, variables: dict[str, str]) -> int:
    import runpy

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = argv
    sys.path.insert(0, str(Path(argv[0]).parent))
    sys.modules.pop("mine", None)
    if "numpy" in sys.modules:  # a process of its own has a state of its own; Python's own is seeded anew by the fork
        sys.modules["numpy"].random.seed()
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class _Server:
    """Forks for each program that comes through the line, and tells of each its process and its end."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.words = Connection(os.dup(line.fileno()))
        self.ends: dict[int, int] = {}  # process -> where its end is told
        self.woken, self.waking = socket.socketpair()  # the end of a program wakes this process up
        self.woken.setblocking(False)
        self.waking.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.waking.fileno())

    def serve(self) -> None:
        with selectors.DefaultSelector() as chosen:
            chosen.register(self.line, selectors.EVENT_READ)
            chosen.register(self.woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in chosen.select()}
                if self.woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        self.woken.recv(4096)
                    self.reap()
                if self.line in ready and not self.start():
                    return

    def reap(self) -> None:
        for pid, end in list(self.ends.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self.ends[pid]
                with contextlib.suppress(BrokenPipeError):  # nobody asks any more
                    os.write(end, NUMBER.pack(os.waitstatus_to_exitcode(status)))
                os.close(end)

    def start(self) -> bool:
        """The next program; False where there will be none."""
        letter, passed, _, _ = socket.recv_fds(self.line, 1, 4)
        if not letter:
            return False
        argv, cwd, variables, group = self.words.recv()
        end, out, err, *pipe = passed
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if group:
                os.setsid()
            os.dup2(out, 1)
            os.dup2(err, 2)
            for one in (end, out, err, *self.ends.values(), self.line.fileno(), self.words.fileno()):
                os.close(one)
            for here in (self.woken, self.waking):
                here.close()
            _leave(_child([*argv[:1], *(str(one) for one in pipe), *argv[1:]], cwd, variables))
        os.write(end, NUMBER.pack(pid))
        self.ends[pid] = end
        for one in (out, err, *pipe):
            os.close(one)
        return True


def _leave(code: int) -> None:
    """End this process as a Python of its own ends."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _main(given: int, modules: Sequence[str]) -> None:
    import gc
    import importlib

    sys.path.pop(0)  # this file's folder
    gc.disable()  # what an import makes is no garbage
    for module in modules:
        with contextlib.suppress(ImportError):  # the program says so itself
            importlib.import_module(module)
    if "torch._inductor.compile_fx" in sys.modules:
        # which vector instructions the C++ compiler knows, asked once: ten programs, 12 s in each folder of compiled code
        sys.modules["torch._inductor.cpu_vec_isa"].pick_vec_isa()
    gc.freeze()
    gc.enable()
    _Server(socket.socket(fileno=given)).serve()


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
