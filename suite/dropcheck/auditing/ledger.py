"""The ledger: an append-only file of chained lines that keeps the evidence of independent runs, one alpha for its life.

A run is registered (``begin``) before its first coin and closed (``finish``) with the e-values of its cases. A run that was
killed must be repeated with its own root seed before another may begin, so that none can be dropped because it looked bad.
Each line carries the hash of the line before it; FILE.head holds the number of lines and the last hash, so that lines missing
at the end are noticed too. The chain guards against accidents and edits, not against who rewrites both files whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dropcheck.contract.cases import seed_of
from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import DiskFull, full, write_atomically
from dropcheck.statistics import evalues

SCHEMA = "dropcheck.ledger/1"


class Registered:
    """A run that has begun. Its lock is the system's: it ends with the process, however that ends."""

    def __init__(self, run: int, seed: int, resumed: bool, lock: IO[bytes]) -> None:
        self.run, self.seed, self.resumed, self.lock = run, seed, resumed, lock


@dataclass(frozen=True)
class Standing:
    """What the finished runs say of one check: how many they are, and log10 evidence, the highest after any run.

    ``highest``: of the check, the mean over its places. ``cases``: case -> (runs, highest of its own).
    """

    runs: int
    highest: float
    cases: dict[str, tuple[int, float]]


def _standing(runs: list[dict[str, float]], places: int) -> Standing:
    """Of the e-values of successive runs, case -> log10."""
    won: dict[str, list[float]] = {}
    products: dict[str, float] = {}
    cases: dict[str, tuple[int, float]] = {}
    highest = -math.inf
    for one in runs:
        for case, value in one.items():
            won[case] = evalues.won(won.get(case, []), value)
            products[case] = evalues.mean(won[case])
            count, high = cases.get(case, (0, -math.inf))
            cases[case] = count + 1, max(high, products[case])
        highest = max(highest, evalues.combined(products, places))
    return Standing(len(runs), highest, cases)


class Ledger:
    """One ledger file. Every method takes the writers' lock, so that two processes lose nothing."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.head = self.path.with_name(self.path.name + ".head")

    def begin(self, target: str, identity: Mapping[str, Any], seed: int | None = None) -> Registered:
        """Register a run of ``target``; on disk when this returns.

        ``identity``: all that must stay the same for life (versions, contract, profile, checks, options). ``seed``: the root
        seed that is asked for; None: the one of the run that must be resumed, or one derived from the chain. Raises UsageError.
        """
        same = json.loads(json.dumps(identity))
        with self._locked():
            lines, last = self._read()
            runs = [x for x in lines if x["line"] == "begin" and x["target"] == target]
            closed = {x["run"] for x in lines if x["line"] == "finish"}
            for key in {**runs[0]["identity"], **same} if runs else ():
                one, two = runs[0]["identity"].get(key), same.get(key)
                if one != two:
                    raise UsageError(
                        f"the ledger {self.path} holds {target} with {key} {one!r}, not {two!r}: evidence adds up only for "
                        "one and the same thing; use another ledger file"
                    )
            for old in (x for x in runs if x["run"] not in closed):
                lock = self._run_lock(old["run"])
                if lock is None:  # a process is at it
                    continue
                if seed is not None and seed != old["seed"]:
                    lock.close()
                    raise UsageError(
                        f"run {old['run']} of {target} in the ledger {self.path} was begun and not finished: repeat it with "
                        f"--seed {old['seed']} before another run"
                    )
                return Registered(old["run"], old["seed"], True, lock)
            used = {x["seed"] for x in runs}
            if seed in used:
                raise UsageError(
                    f"the ledger {self.path} has a run of {target} with root seed {seed} already; leave out --seed"
                )
            turn = 0
            while seed is None or seed in used:
                seed, turn = seed_of(0, last, target, turn), turn + 1
            run = 1 + sum(x["line"] == "begin" for x in lines)
            lock = self._run_lock(run)
            if lock is None:
                raise UsageError(f"the lock of run {run} of the ledger {self.path} is held by another program")
            self._append(
                len(lines), last, {"line": "begin", "run": run, "target": target, "seed": seed, "identity": same}
            )
            return Registered(run, seed, False, lock)

    def finish(self, one: Registered, evidence: Mapping[str, Mapping[str, float]]) -> None:
        """Close a run with log10 e-values, check -> case -> value; an infinite one is evalues.IMPOSSIBLE."""
        with self._locked():
            lines, last = self._read()
            if any(x["line"] == "finish" and x["run"] == one.run for x in lines):
                raise UsageError(f"run {one.run} of the ledger {self.path} is finished already")
            values = {c: dict(v) for c, v in evidence.items()}
            self._append(len(lines), last, {"line": "finish", "run": one.run, "evidence": values})
            self._lock_path(one.run).unlink(missing_ok=True)
            one.lock.close()

    def evidence(self, target: str, most: int) -> dict[str, Standing]:
        """What the finished runs of ``target`` say, check by check. ``most``: places of a check; see evalues.combined.

        A check that has more cases than places shares its evidence among so many as it has: the identity fixes them.
        """
        with self._locked():
            lines, _ = self._read()
        mine = {x["run"] for x in lines if x["line"] == "begin" and x["target"] == target}
        closed = [x["evidence"] for x in lines if x["line"] == "finish" and x["run"] in mine]
        found: dict[str, Standing] = {}
        for check in dict.fromkeys(name for line in closed for name in line):
            some = [line[check] for line in closed if check in line]
            places = max(most, len({case for one in some for case in one}))
            found[check] = _standing(some, places)
        return found

    def check(self) -> None:
        """Read all of it. Raises UsageError where it cannot be used."""
        with self._locked():
            self._read()

    # --- the file --------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            stream = open(self.path.with_name(self.path.name + ".lock"), "ab")  # noqa: SIM115  closed below
        except OSError as error:
            raise UsageError(f"the ledger {self.path} cannot be written: {error.strerror or error}") from error
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _lock_path(self, run: int) -> Path:
        return self.path.with_name(f"{self.path.name}.run-{run}.lock")

    def _run_lock(self, run: int) -> IO[bytes] | None:
        stream = open(self._lock_path(run), "ab")  # noqa: SIM115  held as long as the run
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.close()
            return None
        return stream

    def _read(self) -> tuple[list[dict[str, Any]], str]:
        """All lines and the hash of the last. A last line that a kill cut short is taken off; other damage is refused."""
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise UsageError(f"the ledger {self.path} cannot be read: {error.strerror or error}") from error
        whole = data[: data.rfind(b"\n") + 1]
        found, last = [], SCHEMA
        promised, hash_there = self._promised()
        for number, text in enumerate(whole.splitlines(), 1):
            try:
                line = json.loads(text)
                right = line["after"] == last and line["line"] in ("begin", "finish")
            except (ValueError, KeyError, TypeError, RecursionError):
                right = False
            if not right:
                raise UsageError(
                    f"the ledger {self.path} was changed at or just before line {number}: its chain is broken there"
                )
            found.append(line)
            last = _hash(text)
            if number == promised and last != hash_there:
                raise UsageError(
                    f"the ledger {self.path} was changed at line {number}: it is not the line that was written"
                )
        if len(found) < promised:
            raise UsageError(
                f"the ledger {self.path} ends at line {len(found)}, but {promised} lines were written: line "
                f"{len(found) + 1} is missing"
            )
        if whole != data:
            os.truncate(self.path, len(whole))
        if len(found) > max(1, promised) and not self.head.exists():
            raise UsageError(f"{self.head} is missing: it belongs to the ledger and must be kept beside it")
        return found, last

    def _promised(self) -> tuple[int, str]:
        try:
            words = self.head.read_text().split()
            return int(words[0]), words[1]
        except FileNotFoundError:
            return 0, ""
        except (ValueError, IndexError):
            raise UsageError(f"{self.head} is damaged; expected the number of lines and a hash") from None

    def _append(self, count: int, last: str, line: dict[str, Any]) -> None:
        text = json.dumps({"after": last, **line}, sort_keys=True, allow_nan=False).encode()
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with open(self.path, "ab") as stream:
                stream.write(text + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            write_atomically(self.head, f"{count + 1} {_hash(text)}\n".encode())
        except (OSError, DiskFull) as error:
            with contextlib.suppress(OSError):
                os.truncate(self.path, before)
            why: object = getattr(error, "strerror", None) or error
            if isinstance(error, DiskFull) or full(error):
                why = "the disk is full; it holds what it held before"
            raise UsageError(f"the ledger {self.path} cannot be written: {why}") from error


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


@dataclass
class Entry:
    """A run that a target has in a ledger. ``closed`` once its evidence is on the disk."""

    ledger: Ledger
    registered: Registered
    closed: bool = False
    told: bool = False  # the findings say what all runs say

    @property
    def words(self) -> str:
        """The run, for a sentence."""
        return f"run {self.registered.run} of the ledger {self.ledger.path}"
