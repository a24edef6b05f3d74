"""What all reports share: the sentence with the answer, the matrix, grouped findings, and what a pass is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dropcheck.judge.claims import FAMILIES
from dropcheck.results.audit import (
    NOT_INTERPRETABLE,
    Finding,
    Result,
    TargetResult,
    Verdict,
    missing,
    missing_words,
    overall,
)
from dropcheck.results.naming import dtype_in
from dropcheck.results.plain_text import count, family, line, number, strongest
from dropcheck.statistics import evalues

WORDS: dict[str, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "inconclusive": "unsure",
    "error": "error",
    "skipped": "-",
    "waived": "waived",
    "": "",
}
GLYPHS: dict[str, str] = {
    "pass": "✓",
    "fail": "✗",
    "inconclusive": "?",
    "error": "!",
    "skipped": "·",
    "waived": "w",
    "": "",
}


def case_words(one: Finding) -> str:
    """The case of a finding, and by how many layers its calls were made where that was more than one.

    What goes wrong after many calls of one layer shows only within the calls of one of them.
    """
    from dropcheck.contract.cases import parse_case
    from dropcheck.contract.errors import UsageError
    from dropcheck.count.units import split

    try:
        case = parse_case(one.case)
    except UsageError:
        return line(one.case)  # of an exact question
    units = split(case)
    if (
        case.regime != "stream" or len(units) < 2 or "units" in one.tallies
    ):  # where a case ended early its message says after what
        return line(one.case)
    return f"{line(one.case)} (by {len(units)} layers, at most {units[0].calls} calls each)"


def cell(target: TargetResult, name: str) -> Verdict | str:
    """Verdict of one family of one target; an empty text where nothing of it ran.

    Of a target that ended before its audit did, only failures stand: what it would have done further is not known.
    """
    verdicts = [f.verdict for f in target.findings if family(f.check) == name]
    if not verdicts:
        return ""
    found = overall(verdicts)
    return "error" if target.error is not None and found != "fail" else found


def claims(target: TargetResult) -> tuple[int, int]:
    """(broken claims, claims that were tested)."""
    broken = {f.check for f in target.findings if f.verdict == "fail"}
    tested = {f.check for f in target.findings if f.verdict in ("pass", "fail", "inconclusive", "waived")}
    return len(broken), len(tested)


def headline(result: Result) -> str:
    """The answer in one sentence."""
    if not result.targets:
        return "Nothing was audited, so nothing is proven."
    suffix = " The run was interrupted: what follows is what was finished." if result.interrupted else ""
    if len(result.targets) == 1:
        return _one(result.targets[0]) + suffix
    fine = [t for t in result.targets if t.verdict in ("pass", "waived") and not missing(t)]
    accepted = [t for t in fine if any(f.verdict == "waived" for f in t.findings)]
    good = [t for t in fine if t not in accepted]
    bad = [t for t in result.targets if t.verdict == "fail"]
    away = [t for t in result.targets if t.skipped is not None]
    rest = len(result.targets) - len(fine) - len(bad) - len(away)
    text = f"{len(good)} of {len(result.targets)} implementations keep every promise that was tested"
    if bad:
        text += f"; {len(bad)} {'does' if len(bad) == 1 else 'do'} not"
    if accepted:
        text += f"; {len(accepted)} {'does' if len(accepted) == 1 else 'do'} with failures that waivers accept"
    if rest:
        text += f"; for {rest} the evidence is missing or incomplete"
    if away:
        text += f"; {len(away)} cannot run here"
    return text + "." + suffix


def _one(target: TargetResult) -> str:
    name = line(target.target)
    broken, tested = claims(target)
    if target.skipped is not None:
        return f"{name} was not audited: {line(target.skipped)}"
    if broken:
        ended = "" if target.error is None else f" The audit did not reach its end: {line(target.error)}."
        return f"{name} breaks {broken} of {count(tested, 'claim')}.{ended}"
    if target.error is not None:
        return f"{name} could not be audited: {line(target.error)}"
    if target.verdict == "error":
        broke = {f.check for f in target.findings if f.verdict == "error"}
        return f"{name} is neither cleared nor accused: {count(len(broke), 'claim')} could not be judged."
    if target.verdict == "inconclusive":
        unsure = {f.check for f in target.findings if f.verdict == "inconclusive"}
        need = "needs" if len(unsure) == 1 else "need"
        return f"{name} is neither cleared nor accused: {count(len(unsure), 'claim')} of {tested} {need} more coins."
    if gone := missing_words(target):
        return f"{name} is neither cleared nor accused: {line(gone)}."
    if waived := {f.check for f in target.findings if f.verdict == "waived"}:
        return f"{name} breaks {len(waived)} of {count(tested, 'claim')}, accepted by waivers."
    if target.verdict in ("pass", "waived"):
        if tested == 1:
            return f"{name} keeps the one claim that was tested."
        return f"{name} keeps all {count(tested, 'claim')} that were tested."
    return f"{name}: no claim that was selected applies, so nothing is proven."


@dataclass(frozen=True)
class Group:
    """Findings of one check and verdict that say the same of several cases (and targets).

    ``shrunk``: the finding, of the lead's target first, whose failing case was shrunk to its smallest.
    ``leads``: each target with its own strongest finding.
    """

    check: str
    verdict: Verdict
    lead: Finding
    cases: tuple[str, ...]
    targets: tuple[str, ...]
    shrunk: Finding | None = None
    leads: tuple[tuple[str, Finding], ...] = ()

    @property
    def apart(self) -> list[tuple[str, Finding]]:
        """The targets with what was seen of each, where they do not all show the same number; else nothing."""
        shown = {
            (number(one.estimate), number(one.expected), one.unit) for _, one in self.leads if one.estimate is not None
        }
        return list(self.leads) if len(shown) > 1 else []

    @property
    def drawn(self) -> Finding:
        """The finding whose picture is shown: the smallest case's, where there is one."""
        return self.shrunk if self.shrunk is not None and self.shrunk.picture is not None else self.lead


def reason(one: Finding) -> str:
    """Why a finding was not judged, without what was seen all the same."""
    if one.message.startswith(NOT_INTERPRETABLE):
        return one.message.split(":", 1)[0]
    return one.message


def groups(targets: Sequence[TargetResult], verdicts: Sequence[str] = ("fail", "error", "inconclusive")) -> list[Group]:
    """What is not a pass, one group a check and verdict, failures first, across targets."""
    found: dict[tuple[str, Verdict, str], list[tuple[str, Finding]]] = defaultdict(list)
    for target in targets:
        for one in target.findings:
            if one.verdict in verdicts:
                # what did not apply is grouped by its reason
                key = reason(one) if one.verdict == "skipped" else ""
                found[(one.check, one.verdict, key)].append((target.target, one))
    made = [
        Group(
            check,
            verdict,
            strongest(f for _, f in members),
            tuple(dict.fromkeys(f.case for _, f in members)),
            tuple(dict.fromkeys(t for t, _ in members)),
            _shrunk(members),
            tuple(
                (name, strongest(f for t, f in members if t == name)) for name in dict.fromkeys(t for t, _ in members)
            ),
        )
        for (check, verdict, _), members in found.items()
    ]
    order = {v: i for i, v in enumerate(verdicts)}
    return sorted(made, key=lambda g: (order[g.verdict], FAMILIES.index(family(g.check)), g.check))


def _shrunk(members: Sequence[tuple[str, Finding]]) -> Finding | None:
    lead = strongest(f for _, f in members)
    first = next(target for target, one in members if one is lead)
    found = [(target != first, one) for target, one in members if one.smallest is not None]
    return min(found, key=lambda pair: pair[0])[1] if found else None


@dataclass(frozen=True)
class CauseGroup:
    """One likely cause: its line, and where it shows: checks, targets, and dtypes if not in all that were judged."""

    defect: str
    text: str
    checks: tuple[str, ...]
    targets: tuple[str, ...]
    dtypes: tuple[str, ...]


def causes(targets: Sequence[TargetResult]) -> list[CauseGroup]:
    """The likely causes of all failures, each once, across checks and targets."""
    found: dict[str, list[tuple[TargetResult, Finding]]] = defaultdict(list)
    for target in targets:
        for one in target.findings:
            if one.verdict == "fail" and one.cause:
                found[one.defect or one.cause].append((target, one))
    made = []
    for defect, members in found.items():
        owners = list(dict.fromkeys(t.target for t, _ in members))
        checks = list(dict.fromkeys(f.check for _, f in members))
        judged = {
            dtype_in(f.case)
            for t in targets
            for f in t.findings
            if t.target in owners and f.check in checks and f.verdict in ("pass", "fail")
        }
        failing = list(dict.fromkeys(dtype_in(f.case) for _, f in members))
        dtypes = failing if "" not in failing and judged - {*failing} - {""} else []
        made.append(CauseGroup(defect, members[0][1].cause or "", tuple(checks), tuple(owners), tuple(dtypes)))
    return made


def evidence(value: float | None) -> str:
    """log10 evidence in words."""
    if value is None:
        return ""
    if value <= -9999:
        return "impossible under the contract"
    if value > -2:
        return "as expected under the contract"
    return f"10^{value:.0f} under the contract"


def ledger(targets: Sequence[TargetResult]) -> list[str]:
    """Which run of which ledger each target's was, and how strong the evidence of all is; nothing without a ledger."""
    lines = []
    for target in targets:
        if (kept := target.ledger) is None:
            continue
        text = f"Ledger {line(kept.file)}: {count(kept.runs, 'finished run')} of {line(target.target)}"
        text += f"; this is run {kept.run}, root seed {kept.seed}"
        told = [(f.ledger.log10_e - f.ledger.log10_needed, f) for f in target.findings if f.ledger is not None]
        if told:
            _, lead = max(told, key=lambda pair: pair[0])
            assert lead.ledger is not None
            text += (
                f"; strongest evidence {evalues.words(lead.ledger.log10_e)} of the {evalues.words(lead.ledger.log10_needed)} "
                "that it takes "
                f"({lead.check})"
            )
        lines.append(text)
    return lines


def worth(targets: Sequence[TargetResult]) -> list[str]:
    """What a pass is worth: for every claim with a resolution, the finest and the coarsest that was reached."""
    from dropcheck.judge.checks import CHECKS

    lines = []
    for check in CHECKS:
        values = [
            f.resolution
            for t in targets
            for f in t.findings
            if f.check == check.name and f.verdict == "pass" and f.resolution is not None
        ]
        if values and check.resolution_words:
            scale, unit = (
                (100, " points") if check.name.startswith("rate.") and "rate" in check.resolution_words else (1, "")
            )
            low, high = min(values) * scale, max(values) * scale
            span = f"{low:.2g}{unit}" if high < 1.2 * low else f"{low:.2g} to {high:.2g}{unit}"
            lines.append(f"{check.name}: {check.resolution_words} of {span}, by case")
    return lines
