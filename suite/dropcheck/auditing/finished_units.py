"""Finished units on disk: what a killed audit has counted already, kept until its target is finished."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dropcheck.contract import cases
from dropcheck.contract.errors import UsageError
from dropcheck.count import gather, repeated_words, tallies, units
from dropcheck.count.gather import Counted
from dropcheck.count.units import Unit
from dropcheck.worker.server import wire

# a unit that is counted sooner than this is counted again sooner than it is read
WORTH_S = 0.5
_CLASS, _PAIRS, _TUPLE = "__class__", "__pairs__", "__tuple__"


def _records(modules: Iterable[ModuleType]) -> dict[str, type]:
    return {
        name: thing
        for module in modules
        for name, thing in vars(module).items()
        if isinstance(thing, type) and dataclasses.is_dataclass(thing)
    }


def plain(value: Any) -> Any:
    """Records, tuples and dicts with any keys as data that ``worker.server.wire`` can carry; arrays stay arrays."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {_CLASS: type(value).__name__, **fields}
    if isinstance(value, dict):
        return {_PAIRS: [[plain(k), plain(v)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [plain(v) for v in value]}
    return [plain(v) for v in value] if isinstance(value, list) else value


def record(value: Any, known: dict[str, type]) -> Any:
    """The inverse of ``plain``; only records of ``known`` are made, whatever the data name."""
    if isinstance(value, dict):
        if _PAIRS in value:
            return {record(k, known): record(v, known) for k, v in value[_PAIRS]}
        if _TUPLE in value:
            return tuple(record(v, known) for v in value[_TUPLE])
        fields = {k: record(v, known) for k, v in value.items() if k != _CLASS}
        return known[value[_CLASS]](**fields)
    if isinstance(value, list):
        return [record(v, known) for v in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def held(path: Path) -> int:
    """How many units a file holds; 0 where it is none."""
    if not path.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(path)) as file:
            return int(file.execute("SELECT COUNT(*) FROM units").fetchone()[0])
    except sqlite3.Error:
        return 0


class Store:
    """Units of one run by target, case and index, in an SQLite file: each is on the disk, whole, when ``put`` returns.

    ``fingerprint``: what may not change between the runs that share the file; another one empties it. What cannot be
    written is told once, by ``say``, and then nothing more is kept.
    """

    def __init__(self, path: Path, fingerprint: str, say: Callable[[str], None] = _say) -> None:
        self.path, self.guard, self.say = path, threading.Lock(), say
        self.failed = False  # nothing more is kept
        self.known = _records((cases, gather, tallies, units, repeated_words))
        try:
            self.file = sqlite3.connect(path, check_same_thread=False)
            with self.file:
                self.file.execute("CREATE TABLE IF NOT EXISTS units (run TEXT, target TEXT, unit TEXT, data BLOB)")
                self.file.execute("CREATE UNIQUE INDEX IF NOT EXISTS by_name ON units (target, unit)")
                self.file.execute("DELETE FROM units WHERE run <> ?", (fingerprint,))
        except sqlite3.Error as error:
            raise UsageError(
                f"the units {path} of an interrupted run cannot be used: {error}; remove the file to count them again"
            ) from error
        self.fingerprint = fingerprint

    @staticmethod
    def _name(unit: Unit) -> str:
        return f"{unit.case} #{unit.index}"

    def get(self, target: str, unit: Unit) -> Counted | None:
        """A finished unit, or None. What is stored under another sum than its own is counted again."""
        with self.guard:
            row = self.file.execute(
                "SELECT data FROM units WHERE target = ? AND unit = ?", (target, self._name(unit))
            ).fetchone()
        if row is None or hashlib.blake2b(row[0][16:], digest_size=16).digest() != row[0][:16]:
            return None
        found = record(wire.decode(row[0][16:])["counted"], self.known)
        return found if isinstance(found, Counted) and found.unit == unit else None

    def put(self, target: str, counted: Counted) -> None:
        """Keep a unit, if it cost more than reading it will."""
        if counted.clock.gather_s < WORTH_S or counted.refusal is not None:
            return
        body = wire.encode({"counted": plain(counted)})
        data = hashlib.blake2b(body, digest_size=16).digest() + body
        with self.guard:
            if self.failed:
                return
            try:
                with self.file:
                    self.file.execute(
                        "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?)",
                        (self.fingerprint, target, self._name(counted.unit), data),
                    )
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """A full disk costs the units that a killed run could have gone on from, never the run."""
        self.failed = True
        self.say(
            f"dropcheck: finished units can no longer be kept in {self.path} ({error}); the run goes on without them"
        )

    def forget(self, target: str) -> None:
        """A finished target's units are of no more use."""
        with self.guard:
            if self.failed:
                return
            try:
                with self.file:
                    self.file.execute("DELETE FROM units WHERE target = ?", (target,))
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)

    def close(self, remove: bool) -> None:
        """Close the file; ``remove`` it when the run has ended by itself."""
        with self.guard:
            self.file.close()
        if remove:
            self.path.unlink(missing_ok=True)
