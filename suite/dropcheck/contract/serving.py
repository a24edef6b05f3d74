"""The client's end of the server protocol: start a program that holds layers, ask it, and say how it ended.

docs/reference/server-protocol.md is the specification. Frames go both ways: uint32 (little-endian) length of a JSON head, the
head, and as many raw bytes as its ``bytes`` says.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import shutil
import struct
import subprocess
import threading
import time
import weakref
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from dropcheck.contract.adapter import DTYPES, Lost, Unsupported
from dropcheck.contract.several_answers import Calls

# Imported by the worker: NumPy and the standard library only, Python 3.9 at run time.

PROTOCOLS = (1,)  # the versions that this client speaks, the latest first
MOST_HEAD = 1 << 20  # bytes of a head; four bytes of text are a larger number
PATIENCE_S = 120.0
_PIPE_BYTES = 1 << 20
_SMALL = 1 << 15  # bytes that go with a head in one piece; as many are read ahead
_STORED = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2"}  # bfloat16 crosses as its bits
assert set(_STORED) == set(DTYPES)


class ServerError(Exception):
    """What a layer raised in the server: a subclass has the name of its type there; the words are the server's."""


class Server:
    """A program that answers requests on its standard input and output; killed with the process that started it.

    ``patience_s``: how long an answer may take. What the program prints on standard error goes where ours goes.
    ``inside_ns`` and ``outside_ns``: time in the layers as the server measures it, and the rest of the time of requests.
    """

    def __init__(
        self, command: Sequence[str], environment: Optional[Mapping[str, str]] = None, patience_s: float = PATIENCE_S
    ) -> None:
        self.command, self.patience_s = [str(word) for word in command], patience_s
        self.name = os.path.basename(self.command[0])
        self.inside_ns = self.outside_ns = 0
        self.why = ""  # why it can no longer be asked
        self._forgotten: List[int] = []
        self._lock = threading.RLock()
        self._ahead = memoryview(b"")  # read, and not asked for yet
        self._spare = bytearray(_SMALL)
        self._under_way: Optional[Calls] = None
        if shutil.which(self.command[0]) is None:
            raise Unsupported(f"the program {self.command[0]!r} is not here: install it, or give its path")
        try:
            # the program ends when its input does: also where this process is killed and can say nothing
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **(environment or {})},
                bufsize=0,
            )
        except OSError as error:
            raise Unsupported(f"the program {self.command[0]!r} does not start: {error.strerror or error}") from error
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to, self._from = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._to, False)  # a server that reads nothing must not hold this process
        _widen(self._to)
        _widen(self._from)
        weakref.finalize(self, _ended, self.process)
        self.hello = self._greet()

    def _greet(self) -> Dict[str, Any]:
        """The first exchange. Raises Lost where no protocol is spoken on both sides."""
        said, _ = self.ask({"ask": "hello", "protocols": list(PROTOCOLS)})
        spoken = said.get("protocol")
        if spoken not in PROTOCOLS:
            ours = ", ".join(map(str, PROTOCOLS))
            raise self.lost(f"speaks protocol {spoken!r}; dropcheck speaks {ours}")
        for name, kind in (("framework", str), ("version", str), ("dtypes", list), ("gradients", bool)):
            if not isinstance(said.get(name), kind):
                raise self.lost(f"answers 'hello' without {name!r} ({kind.__name__})")
        return said

    def lost(self, what: str) -> Lost:
        """The error of a server that can no longer be asked; it is killed."""
        self.why = self.why or f"the server {self.name!r} {what}"
        _ended(self.process)
        return Lost(self.why)

    def forget(self, id: int) -> None:
        """Let go of a layer, with the next request. Never raises: destructors call it."""
        self._forgotten.append(id)

    def ask(self, head: Dict[str, Any], arrays: Sequence[Any] = ()) -> Tuple[Dict[str, Any], List[Any]]:
        """One request and its answer: (head, arrays). ``arrays``: NumPy; bfloat16 as uint16.

        Raises ServerError for what the layer raised, Unsupported for what the server does not have, and Lost where the
        server ended, hangs or writes something else than an answer.
        """
        with self._lock:
            self._settle(head["ask"])
            self._request(head, arrays)
            return self._answer(head["ask"])

    def calls(self, head: Dict[str, Any], arrays: Sequence[Any], count: int) -> Calls:
        """``count`` answers to one request, in order, each read when it is asked for; see ``Calls``.

        Only of a server that answers ``hello`` with ``calls``: its head has ``calls``, and it sends a frame for each.
        """
        with self._lock:
            self._settle(head["ask"])
            self._request({**head, "calls": count}, arrays)
            self._under_way = Calls(lambda: self._answer(head["ask"])[1], self._lock, count)
            return self._under_way

    def _settle(self, ask: str) -> None:
        """Take in what is still on its way, and tell the server which layers are not used any more."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.settle()
        if self._forgotten and ask != "hello":
            some, self._forgotten = self._forgotten, []
            self._request({"ask": "forget", "ids": some}, ())
            with contextlib.suppress(ServerError):
                self._answer("forget")

    def _request(self, head: Dict[str, Any], arrays: Sequence[Any]) -> None:
        if self.why:
            raise Lost(self.why)
        start = time.perf_counter_ns()
        deadline = time.monotonic() + self.patience_s
        raw = [np.ascontiguousarray(a) for a in arrays]
        described = [{"shape": list(a.shape), "dtype": _named(a.dtype)} for a in raw]
        size = sum(a.nbytes for a in raw)
        text = json.dumps({**head, "arrays": described, "bytes": size}).encode()
        frame = struct.pack("<I", len(text)) + text
        if size <= _SMALL:
            frame, raw = b"".join([frame, *(a.tobytes() for a in raw)]), []
        self._send(frame, head["ask"], deadline)
        for one in raw:  # as it lies in memory: a copy of a large input costs as much as the pipe
            self._send(one.data.cast("B") if one.size else b"", head["ask"], deadline)
        self.outside_ns += time.perf_counter_ns() - start

    def _answer(self, ask: str) -> Tuple[Dict[str, Any], List[Any]]:
        if self.why:
            raise Lost(self.why)
        start = time.perf_counter_ns()
        deadline = time.monotonic() + self.patience_s
        said = self._head(ask, deadline)
        found = self._arrays(said, ask, deadline)
        inside = said.get("ns", 0)
        self.inside_ns += inside
        # of several calls, one may be computed while we do something else
        self.outside_ns += max(0, time.perf_counter_ns() - start - inside)
        if "error" in said:
            error = said["error"] if isinstance(said["error"], dict) else {"message": said["error"]}
            kind, words = str(error.get("type", "Error")), str(error.get("message", ""))
            if kind == "Unsupported":
                raise Unsupported(words)
            # under the name that it has in the server's language, which is what a report shows
            raise type(kind if kind.isidentifier() else "Error", (ServerError,), {})(words)
        return said, found

    def _head(self, ask: str, deadline: float) -> Dict[str, Any]:
        first = self._read(4, ask, deadline)
        (length,) = struct.unpack("<I", first)
        if not 2 <= length <= MOST_HEAD:
            if not self._ahead and select.select([self._from], [], [], 0.2)[0]:
                self._ahead = memoryview(os.read(self._from, 60))
            raise self._garbage(ask, bytes(first) + bytes(self._ahead[:56]))
        text = bytes(self._read(length, ask, deadline))
        try:
            said = json.loads(text)
        except ValueError:
            raise self._garbage(ask, text) from None
        if not isinstance(said, dict) or not isinstance(said.get("ns", 0), int):
            raise self._garbage(ask, text)
        return said

    def _garbage(self, ask: str, text: bytes) -> Lost:
        return self.lost(
            f"answers {ask!r} with {text[:60]!r}; expected a frame (nothing else may be written to standard output)"
        )

    def _arrays(self, said: Dict[str, Any], ask: str, deadline: float) -> List[Any]:
        """The arrays behind a head, in memory of their own."""
        found: List[Any] = []
        try:
            kinds = [
                (tuple(int(n) for n in one["shape"]), np.dtype(_STORED[one["dtype"]])) for one in said.get("arrays", ())
            ]
            sizes = [math.prod(shape) * kind.itemsize for shape, kind in kinds]
        except (KeyError, TypeError, ValueError):
            raise self.lost(
                f"answers {ask!r} with arrays {str(said.get('arrays'))[:80]}; expected shapes and dtypes"
            ) from None
        if said.get("bytes", 0) != sum(sizes):
            raise self.lost(f"answers {ask!r} with {said.get('bytes')} bytes for arrays of {sum(sizes)}")
        for (shape, kind), size in zip(kinds, sizes):
            found.append(np.frombuffer(self._read(size, ask, deadline), kind).reshape(shape))
        return found

    def _send(self, data: Union[bytes, memoryview], ask: str, deadline: float) -> None:
        view = memoryview(data)
        while len(view):
            if not select.select([], [self._to], [], max(0.0, deadline - time.monotonic()))[1]:
                raise self._silent(ask)
            try:
                view = view[os.write(self._to, view) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._gone(ask) from None

    def _read(self, count: int, ask: str, deadline: float) -> bytearray:
        """So many bytes; what comes with them in one turn is kept for the next reading."""
        data = bytearray(count)
        view, at = memoryview(data), min(count, len(self._ahead))
        view[:at], self._ahead = self._ahead[:at], self._ahead[at:]
        while at < count:
            if not select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise self._silent(ask)
            got = os.readv(self._from, [view[at:], self._spare])
            if got == 0:
                raise self._gone(ask)
            more = max(0, at + got - count)
            self._ahead = memoryview(self._spare)[:more]
            at += got - more
        return data

    def _silent(self, ask: str) -> Lost:
        return self.lost(f"gives no answer to {ask!r} within {self.patience_s:g} s: it hangs or needs longer")

    def _gone(self, ask: str) -> Lost:
        try:
            code = self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            return self.lost(f"closes its output at {ask!r}")
        how = f"is ended by signal {-code}" if code < 0 else f"ends by itself with exit status {code}"
        return self.lost(f"{how} at {ask!r}")


def _named(kind: Any) -> str:
    return "bfloat16" if kind == np.uint16 else str(kind)


def _widen(pipe: int) -> None:
    """Let a pipe hold a whole tensor, where the system can: fewer turns of two processes."""
    try:
        import fcntl

        fcntl.fcntl(pipe, 1031, _PIPE_BYTES)  # F_SETPIPE_SZ, which Python 3.9 does not name
    except (ImportError, OSError):
        pass


def _ended(process: Any) -> None:
    """Kill a server and close its pipes."""
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)
