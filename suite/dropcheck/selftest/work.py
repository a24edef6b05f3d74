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

from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import write_atomically

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
    print_of = fingerprint(items)
    values: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    if journal is not None:
        values, seconds = _read(journal, print_of) if resume else ({}, {})
        head = json.dumps({"journal": "dropcheck.selftest-journal/1", "request": print_of}).encode() + b"\n"
        write_atomically(journal, head + b"".join(_line(k, v, seconds[k]) for k, v in values.items()))
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
        if journal is not None:
            with open(journal, "ab") as stream:
                stream.write(_line(key, value, took))
                stream.flush()
                os.fsync(stream.fileno())
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


def _line(key: str, value: Any, took: float) -> bytes:
    return json.dumps({"item": key, "value": value, "seconds": took}).encode() + b"\n"


def _read(path: Path, print_of: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Finished items; a last line that a kill cut short is left out; another request's journal is refused."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}, {}
    try:
        head = json.loads(lines[0])
        request = head["request"] if head["journal"] == "dropcheck.selftest-journal/1" else None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no journal of a self-test: nothing to resume; run without --resume") from None
    if request != print_of:
        raise UsageError(
            f"the journal {path} belongs to a self-test with other options: repeat those options, or run without --resume"
        )
    values, seconds = {}, {}
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        try:
            one = json.loads(line)
            values[one["item"]], seconds[one["item"]] = one["value"], float(one["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            if number >= len(lines):  # no newline behind it: the kill cut it short
                continue
            raise UsageError(f"the journal {path} is damaged at line {number}: {error}") from error
    return values, seconds
