"""The layers of a red team's file, audited in each profile against the table ``EXPECTED`` in it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from dropcheck.contract.cases import parse_case
from dropcheck.contract.errors import UsageError
from dropcheck.results.audit import Finding, write_atomically
from dropcheck.results.plain_text import count as counted
from dropcheck.results.selftest import FromFile, Judged, Promise, SelfTest, Sought, encode
from dropcheck.selftest import expected, work, zoo
from dropcheck.selftest.expected import Expected
from dropcheck.selftest.work import Item, Tell

UNSEEN = ("error", "inconclusive")


def items(path: Path, rows: Sequence[Expected], profiles: Sequence[str], seed: int) -> list[Item]:
    """One audit a layer and profile. The file's digest is among the arguments: an edited file continues no journal."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return [
        Item(
            f"zoo/{profile}/{row.layer}",
            "fromfile:audited",
            {"path": str(path), "row": msgspec.to_builtins(row), "profile": profile, "seed": seed, "digest": digest},
            zoo.SECONDS[profile],
        )
        for profile in profiles
        for row in rows
    ]


def audited(path: str, row: dict[str, Any], profile: str, seed: int, digest: str) -> dict[str, Any]:
    """Audit one layer of the file in a process of its own, as ``dropcheck audit`` does."""
    from dropcheck.auditing.run import run

    one = msgspec.convert(row, Expected)
    try:
        result = run(expected.request(Path(path), one, profile, seed, causes=False))
    except UsageError as error:
        return msgspec.to_builtins(judged(one, profile, [], str(error).splitlines()[0]))  # type: ignore[no-any-return]
    if result.interrupted:
        raise KeyboardInterrupt
    findings = [f for target in result.targets for f in target.findings]
    errors = [t.error or t.skipped for t in result.targets if t.error or t.skipped]
    return msgspec.to_builtins(judged(one, profile, findings, errors[0] if errors else None))  # type: ignore[no-any-return]


def judged(one: Expected, profile: str, findings: Sequence[Finding], error: str | None) -> Judged:
    """What the findings of a layer come to, beside what is expected of it."""
    failing: dict[str, str] = {}
    for found in sorted((f for f in findings if f.verdict == "fail"), key=lambda f: coins_of(f.case)):
        failing.setdefault(found.check, found.case)
    unseen = [f"{f.check}: {f.message}" for f in findings if f.verdict in UNSEEN]
    outcome: Literal["caught", "other", "missed", "passes", "false", "unjudged"]
    if failing:
        outcome = "false" if one.correct else "caught" if one.met(failing) else "other"
    elif error is not None or not findings:
        outcome, error = "unjudged", error or "nothing was measured"
    elif one.correct and unseen:
        outcome, error = "unjudged", unseen[0]
    else:
        outcome = "passes" if one.correct else "missed"
    return Judged(
        layer=one.layer,
        profile=profile,
        expected=one.words,
        correct=one.correct,
        outcome=outcome,
        failing=failing,
        error=error,
    )


def coins_of(case: str) -> int:
    """Coins of a case by its text; none of an exact question, and more than any case has for several cases together."""
    try:
        return parse_case(case).coins
    except UsageError:
        return 1 << 62 if " over " in case else 0


def searches(
    path: Path, rows: Sequence[Expected], found: Sequence[Judged], seed: int, limit_s: float
) -> tuple[list[Sought], list[Item]]:
    """For each layer that is missed: what a larger profile of this run shows already, or a search of at most ``limit_s``."""
    known: list[Sought] = []
    todo: list[Item] = []
    by_row = {row.layer: row for row in rows}
    for layer, row in by_row.items():
        some = [one for one in found if one.layer == layer]
        missed = [one.profile for one in some if one.outcome == "missed"]
        caught = next((one for one in some if one.outcome in ("caught", "other")), None)
        if not missed:
            continue
        if caught is not None:
            hits = [c for c in caught.failing if row.names(c)] or list(caught.failing)
            check = min(hits, key=lambda c: coins_of(caught.failing[c]))
            case, coins = caught.failing[check], coins_of(caught.failing[check])
            coin = 0 < coins < 1 << 62
            known.append(
                Sought(
                    layer=layer,
                    profile=missed[-1],
                    case=case,
                    check=check,
                    place=f"the profile {caught.profile}",
                    coins=coins if coin else 0,
                    command=command(path, layer, check, case if coin else None, caught.profile),
                )
            )
            continue
        arguments = {
            "path": str(path),
            "row": msgspec.to_builtins(row),
            "profile": missed[-1],
            "seed": seed,
            "limit_s": limit_s,
        }
        todo.append(Item(f"zoo/search/{layer}", "seeking:sought", arguments, limit_s))
    return known, todo


def command(path: Path, layer: str, check: str, case: str | None, profile: str) -> str:
    """The command that shows a failure."""
    import shlex

    words = ["dropcheck", "audit", f"{path}:{layer}", "--select", check]
    words += ["--case", case] if case is not None else ["--profile", profile]
    return shlex.join(words)


def execute(
    path: Path,
    *,
    profiles: Sequence[str],
    seed: int,
    jobs: int,
    limit_s: float,
    json_file: Path | None,
    write: Callable[[SelfTest], None] | None,
    resume: bool,
    journal: Path | None,
    argv: Sequence[str],
    tell: Tell,
) -> SelfTest:
    """Audit the file's layers, search for what would have caught the misses. Ctrl-C keeps what is finished (``interrupted``).

    Raises UsageError for a file without a table that can be read.
    """
    rows = expected.read(path)
    values: dict[str, Any] = {}
    seconds: dict[str, float] = {}

    def note(key: str, value: Any, took: float) -> None:
        values[key], seconds[key] = value, took

    later = journal.with_name(journal.name + ".search") if journal is not None else None
    found: list[Judged] = []
    known: list[Sought] = []
    interrupted = False
    try:
        some = items(path, rows, profiles, seed)
        work.run(some, jobs=jobs, journal=journal, resume=resume, tell=tell, note=note)
        found = _judged(values)
        known, todo = searches(path, rows, found, seed, limit_s)
        if todo:
            words = f"searching for cases that detect {counted(len(todo), 'layer')}"
            print(f"selftest: {words}, at most {limit_s:g} s each", file=sys.stderr, flush=True)
            work.run(todo, jobs=jobs, journal=later, resume=resume, tell=tell, note=note)
    except KeyboardInterrupt:
        interrupted = True
    sought = known + [msgspec.convert(v, Sought) for k, v in sorted(values.items()) if k.startswith("zoo/search/")]
    order = {row.layer: n for n, row in enumerate(rows)}
    result = conclude(
        FromFile(
            path=str(path),
            judged=sorted(_judged(values), key=lambda one: (profiles.index(one.profile), order[one.layer])),
            sought=sorted(sought, key=lambda one: order[one.layer]),
            interrupted=interrupted,
        ),
        profiles,
        seed,
        sum(seconds.values()),
        argv,
    )
    if json_file is not None:
        write_atomically(json_file, encode(result))
    if write is not None:
        write(result)
    if not interrupted:
        for one in (journal, later):
            if one is not None:
                one.unlink(missing_ok=True)
    return result


def _judged(values: dict[str, Any]) -> list[Judged]:
    return [msgspec.convert(v, Judged) for k, v in values.items() if not k.startswith("zoo/search/")]


def conclude(told: FromFile, profiles: Sequence[str], seed: int, seconds: float, argv: Sequence[str]) -> SelfTest:
    """One result: a promise a profile, that every layer comes to what the table expects."""
    from dropcheck.auditing.machine import describe

    promises = []
    for profile in profiles:
        some = [one for one in told.judged if one.profile == profile]
        if any(one.outcome != "unjudged" for one in some):
            promises.append(
                Promise(
                    part="zoo",
                    name=f"the layers of {told.path} give what its table expects in {profile}",
                    held=all(one.held for one in some),
                    n=len(some),
                    text=f"{profile}: {sentence(some)}",
                )
            )
    held = all(p.held for p in promises) and all(one.held for one in told.judged)
    return SelfTest(
        verdict="skipped" if not promises else "pass" if held else "fail",
        environment=describe(),
        argv=list(argv),
        parts=["zoo"],
        profiles=list(profiles),
        seed=seed,
        scale=1.0,
        promises=promises,
        calibration=[],
        tails=[],
        power=[],
        thresholds=[],
        goldens=[],
        zoo=[],
        owners=[],
        signatures={},
        practice=None,
        clocks=[],
        seconds={"zoo": seconds},
        from_file=told,
    )


def sentence(some: Sequence[Judged]) -> str:
    """Caught, missed, false and unjudged layers of one profile, by name where something is not as expected."""

    def named(outcome: str) -> list[Judged]:
        return [one for one in some if one.outcome == outcome]

    wrong, right = [one for one in some if not one.correct], [one for one in some if one.correct]
    parts = []
    if wrong:
        parts.append(f"{len(named('caught'))} of {counted(len(wrong), 'wrong layer')} detected")
    if missed := named("missed"):
        parts.append("missed: " + ", ".join(one.layer for one in missed))
    if other := named("other"):
        parts.append(
            "detected by another check than expected: "
            + ", ".join(f"{one.layer} ({one.expected} expected, {', '.join(one.failing)} failed)" for one in other)
        )
    if right:
        parts.append(f"{len(named('passes'))} of {counted(len(right), 'correct layer')} passed")
    if false := named("false"):
        parts.append(
            "correct layers that fail: " + ", ".join(f"{one.layer} ({', '.join(one.failing)})" for one in false)
        )
    if unjudged := named("unjudged"):
        parts.append("not audited: " + ", ".join(f"{one.layer} ({one.error})" for one in unjudged))
    return "; ".join(parts)
