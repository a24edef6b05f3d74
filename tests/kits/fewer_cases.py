"""Parts of an audit that ask what the whole asks: cases keep their coins, thresholds and verdicts in a selection of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

from dropcheck.auditing.run import plan
from dropcheck.contract.cases import parse_case
from dropcheck.plan.plan import PlannedCase
from dropcheck.plan.request import AuditRequest
from dropcheck.results.audit import Finding
from dropcheck.worker.caller_state import untouched


def cheapest_first(target: str, **options: Any) -> list[PlannedCase]:
    """The cases of coins that this audit would count; a call costs about as much as a hundred coins."""
    # what a case costs in seconds is of no use here; to time it, JAX would compile two shapes more
    with untouched(), mock.patch("dropcheck.plan.plan.costs", _untimed):
        (planned,) = plan(AuditRequest(targets=(target,), **{"in_process": True, **options}))
    assert planned.error is None, planned.error
    counted = [one for one in planned.cases if one.coins]
    return sorted(counted, key=lambda one: one.coins + 100 * parse_case(one.case).calls)


def _untimed(contract: Any, info: Any, session: Any, cases: Sequence[Any]) -> list[float]:
    return [0.0] * len(cases)


def more_and_more(target: str, **options: Any) -> Iterator[tuple[str, ...]]:
    """Some cases at a time, the cheapest first; in the end ``()``, the audit as it stands."""
    cases = [one.case for one in cheapest_first(target, **options)]
    for few in (1, 2, 4, 8):
        if cases:
            yield tuple(cases[:few])
            cases = cases[few:]
    yield ()


def each_check_once(target: str, **options: Any) -> dict[str, list[str]]:
    """Few cases with the checks that the whole audit asks of them, so that each check that counts coins is asked at least once."""
    missing = {}
    for one in cheapest_first(target, **options):
        for check in one.checks:
            missing.setdefault(check, one)
    return {one.case: one.checks for one in missing.values()}


def accused(findings: list[Finding], asked: dict[str, list[str]]) -> list[tuple[str, str, str]]:
    """What is not right of ``asked``: a check that a case was not sized for may be inconclusive there, and never fail."""
    return [
        (f.check, f.case, f.message)
        for f in findings
        if f.verdict in ("fail", "error") or (f.verdict == "inconclusive" and f.check in asked.get(f.case, [f.check]))
    ]
