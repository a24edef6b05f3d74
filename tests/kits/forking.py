"""The process that ``kits.forked`` starts: it imports what it is asked for and forks once for each program."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path


def _child(argv: list[str], cwd: str, variables: dict[str, str], places: list[str]) -> int:
    import runpy

    for number, place in enumerate(places, 1):
        file = os.open(place, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
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


def _serve(line: Connection, modules: Sequence[str]) -> None:
    import atexit
    import gc
    import importlib
    import threading

    sys.path.pop(0)  # this file's folder
    for module in modules:
        with contextlib.suppress(ImportError):  # the program says so itself
            importlib.import_module(module)
    gc.freeze()
    while True:
        try:
            given = line.recv()
        except EOFError:
            return
        pid = os.fork()
        if pid == 0:
            line.close()
            code = _child(*given)
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        line.send(pid)
        line.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])), sys.argv[2:])
