"""Work items of a self-test: spread over processes, journalled the moment they are finished, resumed after a kill."""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dropcheck.results.journal import Head, Journal

_ATTEMPTS = 3  # a worker that is killed costs its item another try


@dataclass(frozen=True)
class Item:
    """A unit of work: plain data in, plain data out. ``call``: "module:function" of this package; ``cost``: rough seconds."""

    key: str
    call: str
    arguments: dict[str, Any] = field(default_factory=dict)
    cost: float = 1.0

    @property
    def part(self) -> str:
        """The part of the self-test that it belongs to."""
        return self.key.split("/", 1)[0]


Tell = Callable[[str, int, int, float, float | None], None]
"""progress: last key, items done, items in all, seconds elapsed, seconds left (None: not known yet)."""

Note = Callable[[str, Any, float], None]
"""A finished item: its key, its value, the seconds that it took."""


def perform(call: str, arguments: dict[str, Any]) -> tuple[Any, float]:
    """Do one item; its value as plain data, and the seconds that it took."""
    module, _, name = call.partition(":")
    started = time.perf_counter()
    value = getattr(importlib.import_module(f"dropcheck.selftest.{module}"), name)(**arguments)
    return value, time.perf_counter() - started


def _begin_worker(parent: int) -> None:
    """One thread a process; a worker whose parent was killed ends itself instead of waiting for work for ever."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    # Ctrl-C reaches every process of the terminal; the parent decides what it ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def fingerprint(items: Sequence[Item]) -> str:
    """What must be equal for a journal to be continued: every item with its arguments."""
    text = json.dumps(sorted([i.key, i.call, json.dumps(i.arguments, sort_keys=True)] for i in items))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class _Line(msgspec.Struct, frozen=True):
    """A finished item, with the seconds that it took."""

    item: str
    value: Any
    seconds: float


def _journal(path: Path, request: str) -> Journal[Head, _Line]:
    other = "a self-test with other options: repeat those options"
    return Journal(path, Head("dropcheck.selftest-journal/1", request), _Line, "a self-test", other, infinite=True)


def run(
    items: Sequence[Item],
    *,
    jobs: int,
    journal: Path | None = None,
    resume: bool = False,
    tell: Tell | None = None,
    note: Note | None = None,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Values and seconds of all items by key. With ``jobs`` 1 in this process. Raises UsageError for a foreign journal.

    ``note`` sees each finished item at once, so that an interrupted run keeps what it has.
    """
    values: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    kept = _journal(journal, fingerprint(items)) if journal is not None else None
    if kept is not None:
        found = kept.read() if resume else None
        for line in found[1] if found is not None else ():
            values[line.item], seconds[line.item] = line.value, line.seconds
        kept.begin(_Line(key, value, seconds[key]) for key, value in values.items())
    if note is not None:
        for key, value in values.items():
            note(key, value, seconds[key])
    began = time.monotonic()
    todo = [i for i in items if i.key not in values]
    costs = {i.key: i.cost for i in todo}
    whole, gone = sum(costs.values()), 0.0

    def done(key: str, value: Any, took: float) -> None:
        nonlocal gone
        values[key], seconds[key] = json.loads(json.dumps(value)), took
        gone += costs[key]
        if note is not None:
            note(key, values[key], took)
        if kept is not None:
            kept.append(_Line(key, value, took), "the items that are finished")
        if tell is not None:
            elapsed = time.monotonic() - began
            tell(
                key, len(values), len(items), elapsed, elapsed / gone * (whole - gone) if gone > 0.02 * whole else None
            )

    if jobs == 1:
        for item in todo:
            done(item.key, *perform(item.call, item.arguments))
    else:
        _spread(todo, jobs, done)
    return values, seconds


def _spread(todo: Sequence[Item], jobs: int, done: Callable[[str, Any, float], None]) -> None:
    left = {i.key: i for i in todo}
    for attempt in range(_ATTEMPTS):
        if not left:
            return
        pool = ProcessPoolExecutor(
            jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker, initargs=(os.getpid(),)
        )
        try:
            futures: dict[Future[Any], str] = {
                pool.submit(perform, i.call, i.arguments): k for k, i in list(left.items())
            }
            pending = set(futures)
            while pending:
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    value, took = future.result()
                    done(futures[future], value, took)
                    del left[futures[future]]
        except BrokenProcessPool:
            if attempt == _ATTEMPTS - 1:
                raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
