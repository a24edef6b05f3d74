"""The result of a run: the only thing that reports and gates read, with its schema and its strict reader."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

SCHEMA = "dropcheck.result/1"

Verdict = Literal["pass", "fail", "inconclusive", "error", "skipped", "waived"]
# how much a failure matters: see judge/levels.py
Level = Literal["defect", "edge", "trait"]
VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "inconclusive", "error", "skipped", "waived")
# How the message of a skipped result begins whose check was not judged because a more basic one fails.
NOT_INTERPRETABLE = "skipped because"
_BEGINNINGS = (NOT_INTERPRETABLE, "not interpretable")  # the second in results of earlier versions

Record = TypeVar("Record")


class ResultError(ValueError):
    """A result file that cannot be read; the message names the file and the place of the damage."""


class DiskFull(ResultError):
    """A file that cannot be written, since the disk has no room; what stood there before is unchanged."""


def for_another(message: str) -> bool:
    """Whether the message of a skipped result says that a more basic check fails."""
    return message.startswith(_BEGINNINGS)


def full(error: BaseException) -> bool:
    """Whether the system refused to write because there is no room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class Statistic(msgspec.Struct, frozen=True, kw_only=True):
    """A number that people expect beside the gating form, such as Pearson's chi-square; it decides nothing."""

    name: str
    value: float
    degrees: int | None = None
    p_value: float | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A small coin matrix that shows a defect: one text a row, ``#`` kept and ``.`` dropped, ``?`` disagreeing."""

    caption: str
    columns: str
    rows: list[str]
    labels: list[str] = []


class OverRuns(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs in a ledger say of one check on one case: their number, and log10 of their e-value.

    ``log10_e``: the smaller of the case's own and the mean over all cases of the check, the highest after any run; both
    must reach ``log10_needed`` to fail the case.
    """

    runs: int
    log10_e: float
    log10_needed: float


class LedgerRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which run of which ledger this was. ``runs``: finished runs of the target there, this one included."""

    file: str
    run: int
    runs: int
    seed: int
    resumed: bool = False


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """Why a failure was accepted: the waiver that says so, its reason, and the last day that it holds (ISO 8601)."""

    id: str
    reason: str
    expires: str
    link: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check on one case.

    ``estimate``, ``expected``, the intervals and ``resolution`` share one unit, named by ``unit``. ``log10_evidence`` is
    log10 of the probability of what was seen under the contract (0: nothing unusual, -412: impossible).
    ``tallies`` are the counts that the decision is a function of. ``smallest`` is the case that a failing one was shrunk
    to, which the picture then shows, with its own command; the numbers stay those of ``case``. ``cause`` is the likely
    cause in words, ``defect`` the name of the planted defect (or defects) that it was recognised by. ``ledger``: the
    evidence of all runs of a ledger, which then decides instead of this run's. ``waiver``: what accepted a failure, whose
    verdict then is ``waived``. ``level``: set where name and case cannot tell it; read by ``judge.levels`` alone.
    """

    check: str
    case: str
    verdict: Verdict
    message: str
    estimate: float | None = None
    expected: float | None = None
    unit: str = ""
    fail_interval: tuple[float, float] | None = None
    pass_interval: tuple[float, float] | None = None
    coins: int = 0
    resolution: float | None = None
    log10_evidence: float | None = None
    alpha: float | None = None
    tallies: dict[str, Any] = {}
    statistics: list[Statistic] = []
    picture: Picture | None = None
    cause: str | None = None
    defect: str | None = None
    replay: str = ""
    smallest: str | None = None
    smallest_replay: str = ""
    ledger: OverRuns | None = None
    waiver: Waiver | None = None
    level: Level | None = None


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: starting the worker, inside the layer itself, gathering coins, counting, judging, and by the wall clock."""

    start_s: float = 0.0
    bare_s: float = 0.0
    gather_s: float = 0.0
    tally_s: float = 0.0
    judge_s: float = 0.0
    wall_s: float = 0.0


class TargetResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one audit says of one target.

    ``error`` holds the sentence of a target that could not be audited.

    ``skipped``: why it does not apply here (a mode that its framework has not, a device that is not there).

    ``source``: the digest of the user's own file, see targets.Target.digest; empty for what has a version instead.

    ``planned``: the results that belong to this target, check -> the cases of its findings; what is planned and not among
    ``findings`` is missing evidence. None: a result from before there were plans, whose completeness nobody can tell.

    ``model``: it is a model as a whole, whose checks are those of models alone; its layers are targets of their own.

    ``fault``: its audit ended by a fault of dropcheck's own code, which ``error`` describes.
    """

    target: str
    framework: str
    version: str
    contract: dict[str, Any]
    verdict: Verdict
    timing: Timing
    traits: dict[str, Any]
    findings: list[Finding]
    error: str | None = None
    details: str | None = None
    skipped: str | None = None
    coins: int = 0
    ledger: LedgerRun | None = None
    source: str = ""
    planned: dict[str, list[str]] | None = None
    fault: bool = False
    model: bool = False

    def __repr__(self) -> str:
        failing = dict.fromkeys(one.check for one in self.findings if one.verdict == "fail")
        fails = f", {', '.join(failing)}" if failing else ""
        return f"<{type(self).__name__} {self.target}: {self.verdict}{fails}; {len(self.findings)} results>"[:200]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What of an audit's request changes coins, verdicts or the exit code, beside profile and seed; see the command line.

    ``targets``: as they were named, before modes and environments. ``budget_s``: seconds a target. ``fail_on``: failures
    of lower levels do not count in the exit code; None: all do.
    """

    targets: list[str] = []
    select: list[str] = []
    ignore: list[str] = []
    cases: list[str] = []
    rates: list[float] = []
    dtypes: list[str] = []
    shapes: list[list[int]] = []
    modes: list[str] = []
    releases: list[str] = []
    input: list[int] | None = None
    pattern: str | None = None
    inference: str | None = None
    budget_s: float | None = None
    resolution: float | None = None
    strict: bool = False
    sequential: bool = False
    fail_on: Level | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the tool.

    ``asked``: what narrows or places it, as words of the command line, also where no command line made it; None: not told.

    ``device`` and ``request``: the same as fields; None: a result from before there were such fields, or several results
    as one that differ in them. ``dropcheck.results.asked`` reads either.
    """

    schema: Literal["dropcheck.result/1"] = "dropcheck.result/1"
    kind: Literal["audit"] = "audit"
    verdict: Verdict
    environment: dict[str, Any]
    argv: list[str]
    profile: str
    seed: int
    alpha: float
    beta: float
    targets: list[TargetResult]
    interrupted: bool = False
    asked: list[str] | None = None
    device: str | None = None
    request: Request | None = None

    def __repr__(self) -> str:
        names = ", ".join(one.target for one in self.targets)
        return f"<{type(self).__name__} {self.verdict}: {names}>"[:200]


def overall(verdicts: list[Verdict]) -> Verdict:
    """One verdict for many: a failure outranks missing evidence, which outranks a pass; nothing measured is no pass."""
    for worst in ("fail", "error", "inconclusive"):
        if worst in verdicts:
            return worst
    if "pass" in verdicts:
        return "pass"
    return "waived" if "waived" in verdicts else "skipped"


def verdict_of(findings: list[Finding], error: str | None) -> Verdict:
    """The verdict of a target from its findings; one whose audit ended early is an ``error`` unless something failed."""
    verdict = overall([one.verdict for one in findings])
    return "error" if error is not None and verdict != "fail" else verdict


def planned(findings: Iterable[Finding], more: Iterable[tuple[str, str]] = ()) -> dict[str, list[str]]:
    """The plan of a target: these findings, and further (check, case) that have none."""
    made: dict[str, list[str]] = {}
    for check, case in [*((one.check, one.case) for one in findings), *more]:
        made.setdefault(check, []).append(case)
    return made


def missing(target: TargetResult) -> list[tuple[str, str]]:
    """What the plan of a target has and its findings have not, as (check, case); nothing where it has no plan."""
    if target.planned is None:
        return []
    left = Counter((check, case) for check, cases in target.planned.items() for case in cases)
    left.subtract((one.check, one.case) for one in target.findings)
    return [what for what, count in left.items() for _ in range(count)]


def missing_words(target: TargetResult) -> str:
    """What is missing of a target in one sentence; an empty text where nothing is."""
    gone = missing(target)
    if not gone:
        return ""
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    total = sum(map(len, (target.planned or {}).values()))
    return f"{len(gone)} of {total} planned results are missing: {gone[0][0]} on {gone[0][1]}{more}"


def exit_code(result: Result) -> int:
    """0 all required checks passed, are waived or do not apply; 1 a failure; 2 dropcheck failed; 3 evidence is missing."""
    if result.verdict == "fail":
        return 1
    if any(one.fault for one in result.targets):
        return 2
    if result.interrupted or not result.targets or any(missing(one) for one in result.targets):
        return 3
    return 0 if result.verdict in ("pass", "waived") else 3


def schema() -> dict[str, Any]:
    """The JSON schema of a result file."""
    return msgspec.json.schema(Result)


def encode(result: Result) -> bytes:
    """The result as indented JSON. Numbers that JSON has no word for (inf, nan) are written as null by msgspec."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader, or a crash, sees the old file or the new one, whole."""
    path = Path(os.path.realpath(path))  # the file behind a link is replaced, not the link
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)  # a pipe, a terminal, /dev/null: nothing to replace
        return
    try:
        _replaced(path, data)
    except OSError as error:
        if not full(error):
            raise
        kept = "; what stood there is unchanged" if path.exists() else ""
        raise DiskFull(f"{path} cannot be written: the disk is full{kept}") from error


def _replaced(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def save(result: Result, path: Path) -> None:
    """Write a result file atomically."""
    write_atomically(path, encode(result))


def load(path: Path) -> Result:
    """Read a result file. Raises ResultError with the file and the line or JSON path of the damage."""
    return decode(read(path), str(path))


def decode(data: bytes, name: str) -> Result:
    """Decode a result, strictly: unknown schema, missing keys and wrong types are refused with their place."""
    return decode_as(Result, data, name, SCHEMA, "it is not a result that this release reads")


def read(path: Path) -> bytes:
    """The bytes of a result file. Raises ResultError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ResultError(f"cannot read the result {path}: {error.strerror or error}") from error


def decode_as(record: type[Record], data: bytes, name: str, schema: str, otherwise: str) -> Record:
    """A JSON document of a schema as its record; ``otherwise``: what a document of another schema is. Raises ResultError."""
    try:
        tree = json.loads(data, parse_constant=_no_number)
    except _NoNumber as error:
        raise ResultError(f"{name} is damaged: {error} stands where JSON has a number") from error
    except RecursionError:
        raise ResultError(f"{name} is damaged: no result is nested as deeply as this") from None
    except UnicodeDecodeError as error:
        raise ResultError(f"{name} is no dropcheck result: byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ResultError(
            f"{name} is damaged at line {error.lineno}, column {error.colno}: {error.msg}; expected a JSON document "
            f"with schema {schema!r}"
        ) from error
    except ValueError as error:  # a number of thousands of digits
        raise ResultError(f"{name} is damaged: {error}") from error
    found = tree.get("schema") if isinstance(tree, dict) else None
    if found != schema:
        raise ResultError(f"{name} has schema {found!r}, expected {schema!r}: {otherwise}")
    try:
        return msgspec.convert(tree, record)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise ResultError(f"{name} is damaged: {error}") from error


class _NoNumber(ValueError):
    """NaN or an infinity, which Python's reader takes and JSON has not."""


def _no_number(word: str) -> float:
    raise _NoNumber(word)


def merged(loaded: list[Result]) -> Result:
    """Several results as one, targets in order; of two results of one target the later file's stands."""
    if len(loaded) == 1:
        return loaded[0]
    targets = {t.target: t for one in loaded for t in one.targets}
    first = loaded[0]
    return msgspec.structs.replace(
        first,
        verdict=overall([t.verdict for t in targets.values()]),
        targets=list(targets.values()),
        interrupted=any(one.interrupted for one in loaded),
        asked=asked_of_all(loaded),
        device=device_of_all(loaded),
        request=request_of_all(loaded),
    )


def asked_of_all(loaded: list[Result]) -> list[str] | None:
    """What narrows or places any of several results; None where one of them does not tell."""
    known = [one.asked for one in loaded]
    return None if None in known else [word for words in known for word in words or ()]


def device_of_all(loaded: list[Result]) -> str | None:
    """The device of several results; None where they differ, or one of them does not tell."""
    return loaded[0].device if all(one.device == loaded[0].device for one in loaded) else None


def request_of_all(loaded: list[Result]) -> Request | None:
    """What several results were asked, which may differ in their targets alone; None where it differs otherwise."""
    known = [one.request for one in loaded if one.request is not None]
    if len(known) < len(loaded):
        return None
    names = list(dict.fromkeys(name for one in known for name in one.targets))
    alike = {msgspec.json.encode(msgspec.structs.replace(one, targets=[])) for one in known}
    return msgspec.structs.replace(known[0], targets=names) if len(alike) == 1 else None
