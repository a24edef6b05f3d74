"""The journal of a run: one line a finished target, on disk the moment it is finished, so that a killed run can go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import DiskFull, TargetResult, full, write_atomically
from dropcheck.worker import caches


class _Line(msgspec.Struct, frozen=True):
    """A finished target. ``source``: the digest of the file that it was, see targets.Target.digest."""

    source: str
    finished: TargetResult


def _line(target: TargetResult, source: str) -> bytes:
    return msgspec.json.encode(_Line(source, target)) + b"\n"


def _head(fingerprint: str) -> bytes:
    return json.dumps({"journal": "dropcheck.journal/2", "request": fingerprint}).encode() + b"\n"


def begin(path: Path, fingerprint: str, finished: Iterable[TargetResult], sources: Mapping[str, str]) -> None:
    """Start a journal with what is finished already. Raises UsageError when it cannot be written."""
    data = _head(fingerprint) + b"".join(_line(t, sources.get(t.target, "")) for t in finished)
    try:
        write_atomically(path, data)
    except DiskFull as error:
        raise UsageError(f"the journal {path} cannot be written: the disk is full") from error
    except OSError as error:
        raise UsageError(f"the journal {path} cannot be written: {error.strerror or error}") from error


def append(path: Path, target: TargetResult, source: str) -> None:
    """Add one finished target; it is on the disk when this returns. Raises UsageError; the journal then ends before it."""
    before = path.stat().st_size
    try:
        with open(path, "ab", buffering=0) as stream:
            data = memoryview(_line(target, source))
            while data:
                data = data[stream.write(data) :]
            os.fsync(stream.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            os.truncate(path, before)  # half a line would damage what is written behind it
        why = "the disk is full" if full(error) else error.strerror or error
        raise UsageError(
            f"the journal {path} cannot be written: {why}. It keeps the targets that finished before {target.target}: make room "
            "and repeat the command with --resume"
        ) from error


@contextmanager
def alone(path: Path | None) -> Iterator[None]:
    """Hold a journal for one audit until its result is written. Raises UsageError while another process holds it."""
    if path is None:
        yield
        return
    from filelock import FileLock, Timeout

    locks = caches.folder() / "locks"  # not beside results, which are kept
    mark = hashlib.blake2b(str(path.resolve()).encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(locks / f"{mark}.lock"), timeout=0)
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"another audit is writing to {path.parent} ({path.name}): wait until it ends, or give another --out or --json"
        ) from None
    except OSError:  # no place for locks: go on without one
        yield
        return
    try:
        yield
    finally:
        lock.release()


def read(path: Path, fingerprint: str, sources: Mapping[str, str]) -> dict[str, TargetResult]:
    """Finished targets by name. ``sources``: the digests of their files; what was edited since is to be audited again.

    A last line that a kill cut short is left out; another request's journal is refused.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"the journal {path} cannot be read: {error.strerror or error}") from error
    try:
        head = json.loads(lines[0])
        request = head["request"] if head["journal"] == "dropcheck.journal/2" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{path} is no journal of dropcheck: nothing to resume; run without --resume") from None
    if request != fingerprint:
        raise UsageError(
            f"the journal {path} belongs to an audit with other options: repeat those options, or run without --resume"
        )
    found: dict[str, TargetResult] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        try:
            kept = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, RecursionError) as error:
            if number >= len(lines):  # no newline behind it: the kill cut it short
                continue
            raise UsageError(f"the journal {path} is damaged at line {number}: {error}") from error
        one = kept.finished
        # what crashed or timed out is tried again
        if one.verdict != "error" and kept.source == sources.get(one.target, kept.source):
            found[one.target] = one
    return found
