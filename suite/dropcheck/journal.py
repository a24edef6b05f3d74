"""The journal of a run: one line a finished target, on disk the moment it is finished, so that a killed run can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from dropcheck.errors import UsageError
from dropcheck.results import TargetResult, write_atomically


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
    except OSError as error:
        raise UsageError(f"the journal {path} cannot be written: {error.strerror or error}") from error


def append(path: Path, target: TargetResult, source: str) -> None:
    """Add one finished target; it is on the disk when this returns."""
    with open(path, "ab") as stream:
        stream.write(_line(target, source))
        stream.flush()
        os.fsync(stream.fileno())


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
    except (ValueError, KeyError, TypeError):
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
        except msgspec.MsgspecError as error:
            if number >= len(lines):  # no newline behind it: the kill cut it short
                continue
            raise UsageError(f"the journal {path} is damaged at line {number}: {error}") from error
        one = kept.finished
        # what crashed or timed out is tried again
        if one.verdict != "error" and kept.source == sources.get(one.target, kept.source):
            found[one.target] = one
    return found
