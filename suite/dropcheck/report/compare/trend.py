"""The trend of a target: its releases in the order of time, and what changed between them, as far as that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from dropcheck.judge.claims import FAMILIES
from dropcheck.report.compare.changes import Change, between
from dropcheck.results.audit import Verdict, overall
from dropcheck.results.history.entries import Claim, Entry, Kept, Ratio
from dropcheck.results.history.stores import History
from dropcheck.results.plain_text import family


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of runs that say the same of one release of a target: ``first`` and ``last`` of them, and how many.

    ``run``: the last of them, whose numbers these are; ``seeds``: the last of each root seed, since results of one seed
    prove more of each other.
    """

    run: str
    seeds: dict[str, str]
    framework: str
    version: str
    dropcheck: str
    profile: str
    pattern: str
    machine: str
    seed: int
    first: str
    last: str
    runs: int
    verdict: Verdict
    error: str
    families: dict[str, str]
    claims: list[Claim] = []
    ratios: list[Ratio] = []

    @property
    def release(self) -> str:
        """``torch 2.13.0``."""
        return f"{self.framework} {self.version}".strip() or "unknown release"


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """One target over its releases: audits, benches, and the changes of both by time."""

    target: str
    audits: list[Row]
    benches: list[Row]
    changes: list[Change]


class Trends(msgspec.Struct, frozen=True, kw_only=True):
    """What ``dropcheck trend`` tells. ``runs``: entries that were looked at."""

    schema: Literal["dropcheck.trend/1"] = "dropcheck.trend/1"
    history: str
    runs: int
    targets: list[Trend]


def trends(
    history: History,
    targets: Sequence[str] = (),
    checks: Sequence[str] = (),
    since: str = "",
    last: int = 0,
) -> Trends:
    """Every target's trend. ``targets``: these alone; ``checks``: by name; ``since``: runs from then on; ``last``: rows kept."""
    some = [one for one in history.entries() if one.recorded >= since]
    names = dict.fromkeys(kept.target for one in some for kept in one.targets)
    found = [_trend(history, name, some, checks, last) for name in names if not targets or name in targets]
    return Trends(history=history.shown, runs=len(some), targets=[t for t in found if t.audits or t.benches])


def _trend(history: History, name: str, entries: Sequence[Entry], checks: Sequence[str], last: int) -> Trend:
    rows: dict[str, list[Row]] = {"audit": [], "bench": []}
    changes: list[Change] = []
    for one in entries:
        for kept in one.targets:
            row = _row(one, kept, checks) if kept.target == name else None
            if row is None:
                continue
            before = _added(rows[one.kind], row)
            if before is not None:
                run = before.seeds.get(str(one.seed), before.run)
                told = between(history, name, (run, before.version), (row.run, row.version), checks)
                changes += [
                    msgspec.structs.replace(c, when=row.first, before=_said(before), after=_said(row)) for c in told
                ]
    if not last:
        return Trend(target=name, audits=rows["audit"], benches=rows["bench"], changes=changes)
    audits, benches = rows["audit"][-last:], rows["bench"][-last:]
    shown = min((row.first for row in [*audits, *benches]), default="")
    return Trend(target=name, audits=audits, benches=benches, changes=[c for c in changes if c.when > shown])


def _said(row: Row) -> list[str]:
    return [row.release, f"dropcheck {row.dropcheck}", row.profile, row.pattern]


def _row(one: Entry, kept: Kept, checks: Sequence[str]) -> Row | None:
    """One run as a row of its own; None where nothing of it was asked for."""
    claims = [c for c in kept.claims if not checks or c.check in checks]
    if checks and not claims:
        return None
    verdict = overall([c.verdict for c in claims]) if checks else kept.verdict
    if one.kind == "bench" and not kept.ratios:
        return None
    families = {
        name: overall([c.verdict for c in claims if family(c.check) == name])
        for name in FAMILIES
        if any(family(c.check) == name for c in claims)
    }
    return Row(
        run=one.id,
        seeds={str(one.seed): one.id},
        framework=kept.framework,
        version=kept.version,
        dropcheck=one.dropcheck,
        profile=one.profile,
        pattern=kept.pattern,
        machine=one.machine,
        seed=one.seed,
        first=one.recorded,
        last=one.recorded,
        runs=1,
        verdict=verdict,
        error=kept.error,
        families=dict(families),
        claims=claims,
        ratios=kept.ratios,
    )


def _added(rows: list[Row], row: Row) -> Row | None:
    """Add a run to the rows of its target: it goes on with the last row of its kind, or begins one. The row before it then."""
    alike = [place for place, old in enumerate(rows) if _kind(old) == _kind(row)]
    if alike and not row.ratios:
        old = rows[alike[-1]]
        if (old.version, old.dropcheck, _verdicts(old)) == (row.version, row.dropcheck, _verdicts(row)):
            rows[alike[-1]] = msgspec.structs.replace(
                row, first=old.first, runs=old.runs + 1, seeds={**old.seeds, **row.seeds}
            )
            return None
    before = rows[alike[-1]] if alike else rows[-1] if rows else None
    rows.append(row)
    return before


def _kind(row: Row) -> tuple[str, ...]:
    """What two rows must share to be compared without a reservation: profile and pattern; a bench's machine."""
    return (row.machine, row.profile) if row.ratios else (row.profile, row.pattern)


def _verdicts(row: Row) -> list[tuple[str, str]]:
    return [(row.verdict, ""), *sorted((c.check, c.verdict) for c in row.claims)]
