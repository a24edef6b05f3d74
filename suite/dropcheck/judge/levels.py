"""How much a failure matters: a wrong result at an ordinary rate, an edge case, or a trait that only --strict judges.

The level of a result, by check and case; the first row that fits decides:

=================================================== ======= ============================================================
check, case                                         level   because
=================================================== ======= ============================================================
form.nonfinite where the contract does not promise  trait   fails under --strict only; the check says so in
it; scale.mean between u / 4 and its bound;                 ``Finding.level``
rate.one and gradient.edges where the layer refuses
rate 0 or 1
rate.zero, rate.one, gradient.edges                 edge    rates 0 and 1
rate.rejects-invalid                                edge    rates that are no probabilities
form.empty                                          edge    inputs without rows, channels or elements
any other check in a case of rate 0 or 1, as in     edge    such a layer does nothing, or drops everything
``form.shape-dtype float32 rate=1 grad``
everything else, also ``rate.set-later float32      defect  wrong for a rate in (0, 1)
rate=0.8 set later``, all cases of form.copies, and
form.nonfinite where the contract promises it
=================================================== ======= ============================================================
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dropcheck.contract.errors import UsageError, nearest
from dropcheck.judge.claims import CLAIMS
from dropcheck.results import audit as results
from dropcheck.results.audit import Finding, Level, Result, TargetResult, for_another, overall, verdict_of

__all__ = ["EDGES", "LEVELS", "Level", "counts", "exit_code", "level", "named", "of", "places", "tolerated", "worst"]

LEVELS: tuple[Level, ...] = ("defect", "edge", "trait")  # worst first

# an edge in every case, with what it is about
EDGES: dict[str, str] = {
    "rate.zero": "rate 0",
    "rate.one": "rate 1",
    "rate.rejects-invalid": "invalid rates",
    "gradient.edges": "",  # its cases say which rate
    "form.empty": "empty inputs",
}
# checks that judge more under --strict than without it
STRICTER = ("form.nonfinite", "scale.mean", "rate.one", "gradient.edges")
_EDGE_CASES = {"rate=0": "rate 0", "rate=1": "rate 1"}


def level(check: str, case: str = "") -> Level:
    """The level of a check, or of its result on one case: of the other checks, cases of rate 0 and 1 are edges, too."""
    return "edge" if check in EDGES or not _EDGE_CASES.keys().isdisjoint(case.split()) else "defect"


def of(finding: Finding) -> Level:
    """The level of one result."""
    if finding.level == "trait" and finding.check in STRICTER:
        return "trait"
    return level(finding.check, finding.case)


def named(word: str, option: str) -> Level:
    """The level of that name. Raises UsageError with the nearest; ``option``: who asks for it."""
    found = next((one for one in LEVELS if one == word), None)
    if found is None:
        raise UsageError(f"{option} takes defect, edge or trait, not {word!r}{nearest(str(word), LEVELS)}")
    return found


def counts(one: Finding, fail_on: Level | None) -> bool:
    """Whether a failure counts: it is as grave as ``fail_on``, or graver; None: every failure counts."""
    return fail_on is None or LEVELS.index(of(one)) <= LEVELS.index(fail_on)


def worst(findings: Iterable[Finding]) -> Level | None:
    """The gravest level of the failures among these; None where nothing fails."""
    return min((of(one) for one in findings if one.verdict == "fail"), key=LEVELS.index, default=None)


def places(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What edge cases are about, for a reader: rate 0, rate 1, invalid rates, empty inputs."""
    found = {
        EDGES.get(one.check) or next((_EDGE_CASES[word] for word in one.case.split() if word in _EDGE_CASES), one.check)
        for one in findings
        if of(one) == "edge"
    }
    known = ("rate 0", "rate 1", "invalid rates", "empty inputs")
    return (*(name for name in known if name in found), *sorted(found.difference(known)))


def fail_on(result: Result) -> Level | None:
    """The level from which on failures of this audit count; None: all of them."""
    return result.request.fail_on if result.request is not None else None


def tolerated(result: Result) -> list[tuple[TargetResult, Finding]]:
    """The failures that do not count, being less grave than this audit was asked to fail on."""
    asked = fail_on(result)
    return [(t, one) for t in result.targets for one in t.findings if one.verdict == "fail" and not counts(one, asked)]


def exit_code(result: Result) -> int:
    """``results.audit.exit_code``, where failures that do not count are as if accepted.

    What was not judged beside such a failure alone is missing evidence: nobody knows whether it would pass.
    """
    asked = fail_on(result)
    if asked is None:
        return results.exit_code(result)
    targets = [_counted(one, asked) for one in result.targets]
    return results.exit_code(
        msgspec.structs.replace(result, targets=targets, verdict=overall([one.verdict for one in targets]))
    )


def _counted(target: TargetResult, asked: Level) -> TargetResult:
    failing = [one for one in target.findings if one.verdict == "fail"]
    if target.skipped is not None or not failing or any(counts(one, asked) for one in failing):
        return target
    made = []
    for one in target.findings:
        if one.verdict == "fail":
            one = msgspec.structs.replace(one, verdict="waived")
        elif one.verdict == "skipped" and for_another(one.message) and counts(one, asked):
            one = msgspec.structs.replace(one, verdict="inconclusive")
        made.append(one)
    return msgspec.structs.replace(target, findings=made, verdict=verdict_of(made, target.error))


def table() -> dict[str, Level]:
    """The level of every check in a case of an ordinary rate."""
    return {name: level(name) for name in CLAIMS}
