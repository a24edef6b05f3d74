"""What all reports share: the sentence with the answer, the matrix, grouped findings, and what a pass is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dropcheck.judge import levels
from dropcheck.judge.claims import CLAIMS, FAMILIES
from dropcheck.judge.diagnosis import Diagnosis, diagnose
from dropcheck.judge.levels import Level
from dropcheck.results.audit import (
    Finding,
    Picture,
    Request,
    Result,
    TargetResult,
    Verdict,
    for_another,
    missing,
    missing_words,
    overall,
)
from dropcheck.results.plain_text import count, family, line, number, strongest
from dropcheck.statistics import evalues

WORDS: dict[str, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "inconclusive": "unsure",
    "error": "error",
    "skipped": "-",
    "waived": "waived",
    "edge": "edge",
    "trait": "trait",
    "": "",
}
GLYPHS: dict[str, str] = {
    "pass": "✓",
    "fail": "✗",
    "inconclusive": "?",
    "error": "!",
    "skipped": "·",
    "waived": "w",
    "edge": "~",
    "trait": "~",
    "": "",
}


MARKS: dict[Level, str] = {"defect": "✗", "edge": "~", "trait": "~"}


def diagnosed(target: TargetResult) -> tuple[Diagnosis, ...]:
    """The causes of a target's failures, worst first."""
    return diagnose(target) if any(one.verdict == "fail" for one in target.findings) else ()


def answer(target: TargetResult, found: Sequence[Diagnosis]) -> str:
    """One line: what was observed of the worst cause, and how many others there are."""
    first, rest = found[0], found[1:]
    verb = "FAILS" if first.level == "defect" else "fails in edge cases" if first.level == "edge" else "fails"
    text = f"{line(target.target)} {verb}: {first.observed}"
    parts = []
    for level, noun in (("defect", "other defect"), ("edge", "edge case"), ("trait", "trait")):
        if number_of := sum(one.level == level for one in rest):
            parts.append(count(number_of, noun if level != "edge" or first.level != "edge" else "other edge case"))
    text = text.rstrip(".")  # some exceptions end their words with one
    return text + (f"; and {', '.join(parts)}" if parts else "") + "."


def answers(result: Result) -> list[str]:
    """One line a failing target, see ``answer``."""
    return [answer(t, found) for t in result.targets if (found := diagnosed(t))]


def smallest_of(one: Diagnosis) -> tuple[Picture | None, str, str]:
    """The picture of a cause, the smallest case in which its lead check fails, and the command that repeats that."""
    own = [f for f in one.findings if f.check == one.check]
    shrunk = one.lead if one.lead.smallest is not None else next((f for f in own if f.smallest is not None), None)
    case, command = one.lead.case, one.lead.replay
    if shrunk is not None:
        case, command = shrunk.smallest or case, shrunk.smallest_replay or command
    # a planned case shows more of the pattern than the smallest one
    whole = [f.picture for f in (one.lead, *own) if f.picture is not None and f.smallest is None]
    drawn = next(iter(whole), shrunk.picture if shrunk is not None else None)
    return drawn, case, command


def known_defect(one: Finding) -> str | None:
    """``known defect NAME``, where a failure has the exact signature of one; else None."""
    if not one.defect or not one.cause or "exact signature" not in one.cause:
        return None
    return f"known defect {one.defect}"


def coverage(targets: Sequence[TargetResult], details: bool = False) -> str:
    """In one sentence or two: the smallest rate error that would have been detected, and what the details would show."""
    fine = [
        f.resolution
        for t in targets
        for f in t.findings
        if f.check == "rate.marginal" and f.verdict == "pass" and f.resolution is not None
    ]
    parts = []
    if fine:
        parts.append(f"Smallest rate error that would have been detected: {100 * min(fine):.2g} points.")
    for target in targets:
        counted = str(target.traits.get("sites", "")) if target.model else ""
        if counted and not counted.endswith(" 0 elsewhere"):
            parts.append(f"{line(target.target)}: {line(counted)}.")
    away: set[tuple[str, str]] = set()
    for target in targets:
        told = {f.check for f in target.findings if f.verdict != "skipped"}
        away |= {(target.target, f.check) for f in target.findings if f.check not in told}
    traits = sum(len(t.traits) for t in targets)
    more = [*([f"{count(len(away), 'check')} skipped"] if away else []), *([count(traits, "trait")] if traits else [])]
    if more and not details:
        parts.append(f"{', '.join(more)}: --verbose")
    return " ".join(parts)


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


def mark(findings: Sequence[Finding], verdict: Verdict) -> str:
    """A verdict as a table shows it: a failure of edge cases or traits alone by that word."""
    gravest = levels.worst(findings) if verdict == "fail" else None
    return gravest if gravest in ("edge", "trait") else verdict


def cell(target: TargetResult, name: str) -> str:
    """The mark of one family of one target; an empty text where nothing of it ran.

    Of a target that ended before its audit did, only failures stand: what it would have done further is not known.
    """
    some = [f for f in target.findings if family(f.check) == name]
    if not some:
        return ""
    found = overall([f.verdict for f in some])
    return "error" if target.error is not None and found != "fail" else mark(some, found)


def claims(target: TargetResult) -> tuple[int, int]:
    """(failing checks, checks that ran to a verdict)."""
    broken = {f.check for f in target.findings if f.verdict == "fail"}
    tested = {f.check for f in target.findings if f.verdict in ("pass", "fail", "inconclusive", "waived")}
    return len(broken), len(tested)


LEFT_OUT = "left out of this run"  # how the reason begins of what a report names, and this run did not ask


def headline(result: Result) -> str:
    """The answer in one sentence; further ones where failures do not count, or the run was interrupted."""
    if not result.targets:
        return "Nothing was audited, so nothing is proven."
    suffix = _below(result)
    suffix += " The run was interrupted: what follows is what was finished." if result.interrupted else ""
    if len(result.targets) == 1:
        return _one(result.targets[0], result.request) + suffix
    fine = [t for t in result.targets if t.verdict in ("pass", "waived") and not missing(t)]
    accepted = [t for t in fine if any(f.verdict == "waived" for f in t.findings)]
    skipped_here = [t for t in result.targets if t.skipped is not None]
    away = [t for t in skipped_here if not (t.skipped or "").startswith(LEFT_OUT)]
    others = len(skipped_here) - len(away)
    suffix = (f" {others:,} more are {LEFT_OUT}." if others else "") + suffix
    bad = [t for t in result.targets if t.verdict == "fail" and t.skipped is None]
    gravest = [levels.worst(t.findings) for t in bad]
    left = len(result.targets) - len(fine) - len(bad) - len(skipped_here)
    numbers = (
        (len(fine) - len(accepted), "passes all checks", "pass all checks"),
        (len(accepted), "passes with failures that waivers accept", "pass with failures that waivers accept"),
        (gravest.count("trait"), "fails for traits only", "fail for traits only"),
        (gravest.count("edge"), "has edge cases only", "have edge cases only"),
        (gravest.count("defect"), "has defects", "have defects"),
        (left, "is incomplete", "are incomplete"),
        (len(away), "cannot run here", "cannot run here"),
    )
    first, *rest = [
        f"{number} {one if number == 1 else many}"
        for place, (number, one, many) in enumerate(numbers)
        if number or not place
    ]
    return f"Of {len(result.targets) - others} implementations, {', '.join([first, *rest])}.{suffix}"


def _below(result: Result) -> str:
    """What fails and does not count, being below --fail-on; an empty text where there is nothing."""
    some = levels.tolerated(result)
    if not some:
        return ""
    checks = {(t.target, one.check) for t, one in some if not _counts(result, t, one.check)}
    word = levels.fail_on(result)
    return f" With --fail-on {word}, {count(len(checks), 'failing check')} {'does' if len(checks) == 1 else 'do'} not count."


def _counts(result: Result, target: TargetResult, check: str) -> bool:
    asked = levels.fail_on(result)
    return any(f.check == check and f.verdict == "fail" and levels.counts(f, asked) for f in target.findings)


def _one(target: TargetResult, request: Request | None) -> str:
    name = line(target.target)
    broken, tested = claims(target)
    if target.skipped is not None:
        return f"{name} was not audited: {line(target.skipped)}"
    if broken:
        ended = "" if target.error is None else f" The audit did not reach its end: {line(target.error)}."
        return f"{name}: {_failing(target, request, broken, tested)}.{ended}"
    if target.error is not None:
        return f"{name} could not be audited: {line(target.error)}"
    if target.verdict == "error":
        broke = {f.check for f in target.findings if f.verdict == "error"}
        return f"{name}: no verdict, {count(len(broke), 'check')} could not be judged."
    if target.verdict == "inconclusive":
        return f"{name}: no verdict, {_unsure(target)} of {count(tested, 'check')} {_need(_unsure(target))}."
    if gone := missing_words(target):
        return f"{name}: no verdict, {line(gone)}."
    if waived := {f.check for f in target.findings if f.verdict == "waived"}:
        return f"{name}: {len(waived)} of {count(tested, 'check')} {_fail(len(waived))}, accepted by waivers."
    if target.verdict in ("pass", "waived"):
        return f"{name}: {'the one check that ran passes' if tested == 1 else f'all {tested} checks pass'}."
    return f"{name}: none of the selected checks applies, so nothing is proven."


def _failing(target: TargetResult, request: Request | None, broken: int, tested: int) -> str:
    """What fails, by level: the checks of defects by name, edge cases by what they are about."""
    checks: dict[str, dict[str, None]] = {one: {} for one in levels.LEVELS}
    for one in target.findings:
        if one.verdict == "fail":
            checks[levels.of(one)][one.check] = None
    defects = [name for name in CLAIMS if name in checks["defect"]]
    defects += sorted(checks["defect"].keys() - CLAIMS.keys())
    edges = [name for name in checks["edge"] if name not in checks["defect"]]
    traits = [name for name in checks["trait"] if name not in checks["defect"] and name not in edges]
    about = f"({', '.join(levels.places(f for f in target.findings if f.verdict == 'fail'))})"
    if defects:
        shown = ", ".join(map(line, defects[:3])) + (", ..." if len(defects) > 3 else "")
        rest = [f"; {count(len(some), word)}" for some, word in ((edges, "edge case"), (traits, "trait")) if some]
        return f"{broken} of {count(tested, 'check')} {_fail(broken)} ({shown}{''.join(rest)})"
    parts = [_at_ordinary_rates(target, request)]
    if edges:
        parts.append(f"{count(len(edges), 'edge case')} to fix {about}")
    if traits:
        parts.append(f"{count(len(traits), 'trait')} {_fail(len(traits))} under --strict ({', '.join(traits)})")
    return "; ".join(parts)


def _at_ordinary_rates(target: TargetResult, request: Request | None) -> str:
    """What is known of rates in (0, 1) where no defect was found: all that a whole audit says, or how much of it ran."""
    ran: dict[str, set[str]] = {"pass": set(), "inconclusive": set(), "error": set()}
    for one in target.findings:
        if one.verdict in ran and levels.of(one) == "defect":
            ran[one.verdict].add(one.check)
    open_ = ran["inconclusive"] | ran["error"]
    if open_:
        return f"no defect found, but {count(len(open_), 'check')} without a verdict"
    narrowed = request is None or request.cases or request.rates or request.select
    ignored = request is not None and any(name not in levels.EDGES for name in request.ignore)
    if narrowed or ignored or target.error is not None or missing(target):
        return f"no defect in {count(len(ran['pass']), 'check')}" if ran["pass"] else "no other check ran"
    return "correct at every rate in (0, 1)" if ran["pass"] else "no other check ran"


def _unsure(target: TargetResult) -> int:
    return len({f.check for f in target.findings if f.verdict == "inconclusive"})


def _need(number: int) -> str:
    return "needs more samples" if number == 1 else "need more samples"


def _fail(number: int) -> str:
    return "fails" if number == 1 else "fail"


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
    if for_another(one.message):
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


def evidence(value: float | None) -> str:
    """log10 evidence in words: how probable the observation is in a correct layer."""
    if value is None:
        return ""
    if value <= -9999:
        return "cannot happen in a correct layer"
    if value > -2:
        return "usual in a correct layer"
    return f"p = 1e{value:.0f} in a correct layer"


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
    """What a pass is worth: the smallest and the largest detection limit of every check that has one."""
    from dropcheck.judge.checks import CHECKS

    lines = []
    for check in CHECKS:
        by_words: dict[str, list[float]] = {}
        for f in (f for t in targets for f in t.findings if f.check == check.name and f.verdict == "pass"):
            # rows that have a law are counted otherwise than decisions of their own
            words = (
                f"another {f.unit}"
                if (f.unit or "").startswith("share of ") and " rows" in f.case
                else check.resolution_words
            )
            if f.resolution is not None and words:
                by_words.setdefault(words, []).append(f.resolution)
        for words, values in by_words.items():
            scale, unit = (100, " points") if check.name.startswith("rate.") and "rate" in words else (1, "")
            low, high = min(values) * scale, max(values) * scale
            least, most = (f"{v:.2g}" if v < 100 else f"{v:,.0f}" for v in (low, high))
            span = f"{least}{unit}" if high < 1.2 * low else f"{least} to {most}{unit}, depending on the case"
            lines.append(f"{check.name}: {words}, {span}")
    return lines
