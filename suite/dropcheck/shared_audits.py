"""One audit a target for all the tests that ask about it: within this process, and over the workers of pytest-xdist."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import Result, TargetResult, overall, verdict_of

# the folder that all workers of one run share, told by the controller; none: there is one process only
_folder: Path | None = None


def share(folder: Path | None) -> None:
    """Share audits with the other processes of this run through a folder that is this run's alone, made at first use."""
    global _folder
    _folder = folder


class NotApplicable(Exception):
    """A claim that was not judged, with the reason: the layer, its contract or this machine has no such thing."""


class SharedAudit:
    """The audit of one target with its options, made when somebody first asks.

    ``checks``: all that may be asked for, in order; ``wanted``: those that will be. ``place``: which of the targets of its
    test it is.
    """

    def __init__(self, thing: Any, options: Mapping[str, Any], checks: tuple[str, ...], place: int = 0) -> None:
        self.thing, self.options, self.checks, self.place = thing, dict(options), checks, place
        self.wanted: set[str] = set()
        self.audited: set[str] = set()
        self.result: Result | None = None
        self.usage = ""

    def judge(self, check: str) -> None:
        """Return if the check passes, or fails below ``fail_on``. Raises Broken, Unproven, NotApplicable; UsageError."""
        __tracebackhide__ = True
        from dropcheck.library import Tolerated, Unproven, failure, tolerated

        self.wanted.add(check)
        self._made()
        if self.usage:
            raise UsageError(self.usage)
        assert self.result is not None
        narrow = narrowed(self.result, check)
        ended = [t.error for t in narrow.targets if t.error is not None]
        if narrow.verdict in ("pass", "waived") and not ended:
            return
        if narrow.verdict == "skipped" and not ended:
            raise NotApplicable(_why(narrow, check))
        told = failure(narrow)
        if told is None and not ended:
            warnings.warn(tolerated(narrow), Tolerated, stacklevel=2)
            return
        told = told or Unproven(ended[0])
        told.result = self.result  # type: ignore[attr-defined]
        raise told

    def _made(self) -> None:
        """Have the result of everything that is wanted; audits again only where more is asked than was told before."""
        if self.usage or (self.result is not None and self.wanted <= self.audited):
            return
        select = tuple(c for c in self.checks if c in self.wanted)
        try:
            self.result = self._shared(select) if _folder is not None else self._audited(select)
        except UsageError as error:
            self.usage = str(error)
        self.audited = set(select)

    def _audited(self, select: tuple[str, ...]) -> Result:
        from dropcheck.library import examined
        from dropcheck.worker.caller_state import untouched

        with untouched():
            return examined(self.thing, {**self.options, "select": select})[0]

    def _shared(self, select: tuple[str, ...]) -> Result:
        """The result that another process of this run has left, or ours, left for the others. One process audits at a time."""
        from filelock import FileLock

        from dropcheck.results import audit as results

        assert _folder is not None
        file = _folder / f"{self._key(select)}.json"
        try:
            _folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:  # there is no place to share
            return self._audited(select)
        with FileLock(f"{file}.lock"):
            if file.is_file():
                return results.load(file)
            result = self._audited(select)
            results.save(result, file)
            return result

    def _key(self, select: tuple[str, ...]) -> str:
        """The same in all processes of a run for the same target and options, and for nothing else."""
        from dropcheck.plan.python_objects import typed

        name = self.thing if isinstance(self.thing, str) else typed(self.thing)
        if name is None:  # an object without a name of its own is the one that this test function was given
            name = f"{os.environ.get('PYTEST_CURRENT_TEST', '').partition('[')[0]} {self.place}"
        text = repr((name, sorted(self.options.items(), key=lambda item: item[0]), select))
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def narrowed(result: Result, check: str) -> Result:
    """The result as if that check alone had been asked for; what ended early or was skipped as a whole stays so."""
    some: list[TargetResult] = []
    for target in result.targets:
        found = [f for f in target.findings if f.check == check]
        verdict = verdict_of(found, target.error)
        plan = None if target.planned is None else {k: v for k, v in target.planned.items() if k == check}
        some.append(msgspec.structs.replace(target, findings=found, verdict=verdict, traits={}, planned=plan))
    return msgspec.structs.replace(result, targets=some, verdict=overall([t.verdict for t in some]))


def _why(narrow: Result, check: str) -> str:
    reasons = [t.skipped for t in narrow.targets if t.skipped is not None]
    reasons += [f.message for t in narrow.targets for f in t.findings]
    return reasons[0] if reasons else f"{check} asks nothing of this layer"
