"""The journal of a run: one line a finished target, on disk the moment it is finished, so that a killed run can go on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import TargetResult
from dropcheck.results.journal import Head, Journal
from dropcheck.worker import caches


class _Line(msgspec.Struct, frozen=True):
    """A finished target. ``source``: the digest of the file that it was, see targets.Target.digest."""

    source: str
    finished: TargetResult


def _journal(path: Path, fingerprint: str) -> Journal[Head, _Line]:
    other = "an audit with other options: repeat those options"
    return Journal(path, Head("dropcheck.journal/2", fingerprint), _Line, "dropcheck", other)


def begin(path: Path, fingerprint: str, finished: Iterable[TargetResult], sources: Mapping[str, str]) -> None:
    """Start a journal with what is finished already. Raises UsageError when it cannot be written."""
    _journal(path, fingerprint).begin(_Line(sources.get(t.target, ""), t) for t in finished)


def append(path: Path, target: TargetResult, source: str) -> None:
    """Add one finished target; it is on the disk when this returns. Raises UsageError; the journal then ends before it."""
    _journal(path, "").append(_Line(source, target), f"the targets that finished before {target.target}")


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
    """Finished targets by name; what crashed or timed out is audited again. Raises UsageError, see ``Journal.read``.

    ``sources``: the digests of their files; what was edited since is audited again, too.
    """
    kept = _journal(path, fingerprint).read()
    found: dict[str, TargetResult] = {}
    for line in [] if kept is None else kept[1]:
        one = line.finished
        if one.verdict != "error" and line.source == sources.get(one.target, line.source):
            found[one.target] = one
    return found
