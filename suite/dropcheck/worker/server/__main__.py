"""The worker process: started by path under any interpreter, it answers requests on a private pipe until it closes."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import select
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any, Dict


class _Packages:
    """Finds the named packages at given folders and nothing else, so that no site-packages leaks in with them."""

    def __init__(self, folders: Dict[str, str]) -> None:
        self.folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        folder = self.folders.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )


def _send(pipe: Connection, answers: Any, encode: Any) -> None:
    """Send every answer as soon as the pipe takes it."""
    while True:
        try:
            pipe.send_bytes(encode(answers.get()))
        except OSError:  # nobody listens any more
            os._exit(1)
        except BaseException:  # an answer that nobody can write down must end the worker: its asker would wait for ever
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)


def _watch(descriptor: int) -> None:
    """End this process when the suite's end of the pipe closes, also while a layer is being called."""
    waiting = select.poll()
    waiting.register(descriptor, 0)  # a closed end is reported without being asked for
    waiting.poll()
    os._exit(1)


TOO_OLD = 78  # exit status of an interpreter that the worker does not run on (EX_CONFIG of sysexits.h)


def main() -> int:
    """``python WORKER FD JSON``: serve the pipe FD; JSON names the package folders and the entries of the path.

    With ``stem``, modules to import, FD is where workers are asked for: each of them is a fork that serves a pipe of its own.
    """
    if sys.version_info < (3, 9):  # before anything is imported that an older one lacks
        sys.stderr.write("%d.%d" % sys.version_info[:2])
        return TOO_OLD
    descriptor, settings = int(sys.argv[1]), json.loads(sys.argv[2])
    sys.argv = ["dropcheck-worker"]
    # starting by path put the worker's own folder first: its module names must shadow nobody's
    sys.path[:] = [*settings["path"], *[p for p in sys.path if os.path.abspath(p or ".") != settings["own"]]]
    sys.meta_path.insert(0, _Packages(settings["packages"]))
    # nothing is left in folders of users, under this or any other interpreter, and a layer's file that is written again within a
    # second is never read from stale bytecode; what is compiled anew for that takes less than .05 s of a start (measured)
    sys.dont_write_bytecode = True
    # what a layer prints goes to standard error, which the suite keeps apart from the answers
    os.dup2(2, 1)
    from dropcheck.worker.server import wire
    from dropcheck.worker.server.answers import Worker
    from dropcheck.worker.server.collecting import handled

    if "stem" in settings:
        from dropcheck.worker.server.stem import forked

        given = forked(descriptor, settings["stem"], settings["path"])
        if given is None:
            return 0
        descriptor = given
    pipe = Connection(descriptor)
    # an audit that is killed closes nothing itself, and a call may take minutes: nobody would read its answer
    threading.Thread(target=_watch, args=(descriptor,), daemon=True).start()
    worker = Worker()
    answers: "queue.SimpleQueue[Dict[str, Any]]" = queue.SimpleQueue()
    # a thread of its own, so that the layer goes on while the suite is busy with the last answer
    threading.Thread(target=_send, args=(pipe, answers, wire.encode), daemon=True).start()
    answers.put({"ready": True, "pid": os.getpid()})
    while True:
        try:
            request = wire.decode(pipe.recv_bytes())
        except EOFError:
            return 0
        if request.get("ask") == "stop":
            return 0
        answers.put(handled(worker, request))


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # threads and exit hooks of a framework must not keep a finished worker alive
    os._exit(status)
