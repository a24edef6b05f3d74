"""What a history keeps of a result: the run, its targets, the verdict of each claim, and each ratio of times."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from dropcheck.contract.errors import UsageError
from dropcheck.contract.requirements import JOIN
from dropcheck.results import audit as results
from dropcheck.results import bench as records
from dropcheck.results import reading
from dropcheck.results.audit import Finding, Result, Verdict, overall
from dropcheck.results.bench import BenchResult
from dropcheck.results.plain_text import clean, strongest


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one target in one run: the worst verdict over its cases, and the numbers of the case that shows it.

    ``resolution``: of a pass, the coarsest of its cases, in the unit of ``estimate``. ``low``, ``high``: the interval that
    decides a failure.
    """

    check: str
    verdict: Verdict
    case: str
    message: str
    estimate: float | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    resolution: float | None = None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """One target against the reference in one cell of a bench: ratio of device times with its interval, and the verdict."""

    cell: str
    reference: str
    verdict: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One target of one run. ``target`` is named without the environment that it ran in; ``version`` tells the release."""

    target: str
    framework: str
    version: str
    pattern: str
    verdict: Verdict
    error: str = ""
    claims: list[Claim] = []
    ratios: list[Ratio] = []


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One run: an audit or a bench. ``id``: the digest of its result; ``recorded``: when it was added, in UTC."""

    id: str
    recorded: str
    kind: str
    dropcheck: str
    profile: str
    seed: int
    machine: str
    targets: list[Kept]


def now() -> str:
    """The present moment in UTC, as histories write it: so fine that two runs of one second stand in their order."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str, option: str) -> str:
    """A day or a moment in UTC that was typed, in the form that sorts as text. Raises UsageError."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?Z?)?", text.strip()):
        try:
            # with its fraction it sorts before every moment of that second, however it was written
            return datetime.fromisoformat(text.strip().rstrip("Z")).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        except ValueError:
            pass
    raise UsageError(f"{option} takes a day such as 2026-01-31 (UTC), not {text!r}")


def encoded(result: Result | BenchResult) -> bytes:
    """The document that is kept: the result file itself."""
    return records.encode(result) if isinstance(result, BenchResult) else results.encode(result)


def digest(document: bytes) -> str:
    """The name of a result: the same for the same result, whoever adds it."""
    return hashlib.sha256(document).hexdigest()[:32]


def entry(document: bytes, recorded: str, name: str) -> Entry:
    """What is kept of a document. Raises ResultError where it is damaged, UsageError where it is no audit and no bench."""
    (result, *_) = reading.parsed(document, name)
    if not isinstance(result, Result | BenchResult):
        raise UsageError(f"{name} is a {result.kind}; a history keeps audits and benchmarks")
    environment = result.environment
    return Entry(
        id=digest(document),
        recorded=recorded,
        kind=result.kind,
        dropcheck=_text(reading.packages(environment).get("dropcheck", "")),
        profile=_text(result.profile),
        seed=result.seed,
        machine=_text(f"{environment.get('platform', '')}, {environment.get('cores', '?')} cores"),
        targets=_audited(result) if isinstance(result, Result) else _timed(result),
    )


def _text(text: str) -> str:
    """Text that every database takes: what is no character there (NUL, halves of pairs) is made visible."""
    return clean(text, 100_000)


def base(target: str) -> str:
    """The name of a target without the environment that it ran in."""
    return _text(target.partition(JOIN)[0])


def _audited(result: Result) -> list[Kept]:
    some = {}
    for one in result.targets:
        checks = list(dict.fromkeys(f.check for f in one.findings))
        kept = Kept(
            target=base(one.target),
            framework=_text(one.framework),
            version=_text(one.version),
            pattern=_text(str(one.contract.get("pattern", ""))),
            verdict=one.verdict,
            error=_text(one.error or one.skipped or ""),
            claims=[_claim(check, [f for f in one.findings if f.check == check]) for check in checks],
        )
        some[(kept.target, kept.version)] = kept
    return list(some.values())


def _claim(check: str, findings: list[Finding]) -> Claim:
    verdict = overall([f.verdict for f in findings])
    lead = strongest(f for f in findings if f.verdict == verdict)
    passed = [f.resolution for f in findings if f.verdict == "pass" and f.resolution is not None]
    interval = lead.fail_interval or (None, None)
    return Claim(
        check=check,
        verdict=verdict,
        case=_text(lead.case),
        message=_text(lead.message),
        estimate=lead.estimate,
        expected=lead.expected,
        low=interval[0],
        high=interval[1],
        resolution=max(passed, default=None) if verdict == "pass" else None,
    )


def _timed(result: BenchResult) -> list[Kept]:
    return [
        Kept(
            target=base(one.target),
            framework=_text(one.framework),
            version=_text(one.version),
            pattern=_text(one.pattern),
            verdict="error" if one.error else "skipped" if one.skipped else "pass",
            error=_text(one.error or one.skipped or ""),
            ratios=[
                Ratio(
                    cell=f"{result.cells[c.cell]} on {result.device}",
                    reference=base(result.reference),
                    verdict=c.verdict,
                    ratio=c.ratio,
                    low=c.low,
                    high=c.high,
                )
                for c in result.comparisons
                if c.target == one.target
            ],
        )
        for one in {(base(t.target), t.version): t for t in result.targets}.values()
    ]


def in_order(some: Iterable[Entry]) -> list[Entry]:
    """Entries by time, each once: of two of one result, the earlier stands."""
    found: dict[str, Entry] = {}
    for one in sorted(some, key=lambda e: (e.recorded, e.id)):
        found.setdefault(one.id, one)
    return list(found.values())
