"""The decision: a pure function of policy, results, waivers, the day, and what is known of the machine."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from dropcheck.gate import accepting, correctness, ratchet, speed, waivers
from dropcheck.gate.correctness import Asked
from dropcheck.gate.decision import EXIT, Decision, Line, Note
from dropcheck.gate.evidence import device_of
from dropcheck.gate.policy import NOT_JUDGED, OF_LEVELS, Sourced, Waiver
from dropcheck.gate.records import Evidence, Here
from dropcheck.results.audit import Result, overall, verdict_of
from dropcheck.results.plain_text import count, line

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult


def decide(
    policy: Sourced,
    audits: Sequence[tuple[str, Result]],
    benches: Sequence[tuple[str, BenchResult]],
    waived: Sequence[Waiver],
    today: datetime.date,
    here: Here,
    kept: ratchet.Ratchet | None = None,
) -> Decision:
    """May this ship? ``audits``, ``benches``: results with the names of their files; ``kept``: the ratchet, if one is asked for."""
    asked = Asked(policy, Evidence(tuple(audits), tuple(benches)), here, waivers.book(tuple(waived), today))
    lines = [*correctness.judge(asked), *speed.judge(asked)]
    if kept is not None:
        lines += ratchet.judge(asked, kept)
    stale, notes = _told(asked)
    lines = accepting.with_commands([*lines, *stale], policy.name, today)
    verdict = _verdict(lines)
    return Decision(
        verdict=verdict,
        exit_code=EXIT[verdict],
        headline=_headline(lines, verdict, policy),
        policy=line(policy.name) or "defaults",
        preset=policy.policy.preset,
        day=today.isoformat(),
        lines=lines,
        notes=[*_below(asked, lines), *_notes(asked), *notes],
        evidence=_evidence(asked),
        accept=accepting.whole(lines, [name for name, _ in audits], policy.name, today),
    )


def accepted(result: Result, decision: Decision) -> Result:
    """An audit as the decision sees it: waived failures have the verdict ``waived`` and say by which waiver."""
    stamps = {
        (one.target, one.device, one.check, one.case): one.waiver for one in decision.lines if one.waiver is not None
    }
    targets = []
    for target in result.targets:
        device = device_of(result, target)
        findings = [
            msgspec.structs.replace(one, verdict="waived", waiver=stamps[key])
            if one.verdict == "fail" and (key := (line(target.target), device, one.check, line(one.case))) in stamps
            else one
            for one in target.findings
        ]
        verdict = target.verdict if target.skipped is not None else verdict_of(findings, target.error)
        targets.append(msgspec.structs.replace(target, findings=findings, verdict=verdict))
    return msgspec.structs.replace(result, targets=targets, verdict=overall([one.verdict for one in targets]))


def _verdict(lines: Sequence[Line]) -> Literal["pass", "fail", "inconclusive"]:
    counts = {one.counts for one in lines}
    if "fail" in counts:
        return "fail"
    if "missing" in counts or not (counts & {"pass", "waived"} or any(one.below for one in lines)):
        return "inconclusive"
    return "pass"


def _headline(lines: Sequence[Line], verdict: str, policy: Sourced) -> str:
    if verdict == "fail":
        return _failed(lines)
    missing = [one for one in lines if one.counts == "missing"]
    if missing:
        names = list(dict.fromkeys(one.target for one in missing if one.target))
        what = f" for {names[0]}" if names else f": {missing[0].message}"
        more = f" and {count(len(names) - 1, 'more target')}" if len(names) > 1 else ""
        unjudged = _unjudged(lines, "missing")
        tail = f"; {count(unjudged, 'check')} {'is' if unjudged == 1 else 'are'} skipped" if unjudged else ""
        return f"Gate undecided: evidence is missing{what}{more}{tail}."
    if verdict == "inconclusive":
        return "Gate undecided: nothing was selected, so nothing is proven." if lines else _no_targets(policy)
    proven = {one.target for one in lines if (one.counts in ("pass", "waived") or one.below) and one.target}
    text = _accepted_words(lines, policy.policy.fail_on)
    if not text:
        return f"Gate passed: all required checks pass in {count(len(proven), 'target')}."
    return f"Gate passed with {text}."


def _failed(lines: Sequence[Line]) -> str:
    """How many checks fail, where, and how grave they are."""
    worst: dict[tuple[str, str], str] = {}
    for one in lines:
        if one.counts == "fail":
            key, level = (one.target, one.check), one.level or ""
            worst[key] = min(worst.get(key, level), level, key=_gravity)
    names = list(dict.fromkeys(target for target, _ in worst if target))
    where = f" of {names[0]}" if len(names) == 1 else ""
    beside = f" in {len(names)} targets" if len(names) > 1 else ""
    told = list(worst.values())
    words = {"defect": "defect", "edge": "edge case", "trait": "trait"}
    parts = [count(told.count(level), word) for level, word in words.items() if told.count(level)]
    how = f" ({', '.join(parts)})" if parts else ""
    verb = "fails" if len(worst) == 1 else "fail"
    return f"Gate failed: {count(len(worst), 'required check')}{where} {verb}{beside}{how}."


def _gravity(level: str) -> int:
    return ("defect", "edge", "trait", "").index(level)


def _no_targets(policy: Sourced) -> str:
    where = f"{line(policy.name)} names none" if policy.name else "there is no dropcheck.toml here"
    how = "add targets to it" if policy.name else "create a policy (`dropcheck init`)"
    return f"No targets: {where}. Name a target (`dropcheck gate mine.py:MyDropout`) or {how}."


def _accepted_words(lines: Sequence[Line], fail_on: str | None) -> str:
    """What a release ships with that does not pass: accepted failures, tolerated ones, and what was not judged."""
    waived = [one for one in lines if one.counts == "waived" and not one.unjudged]
    tolerated = [one for one in lines if one.tolerated]
    hidden = [one for one in lines if one.counts == "waived" and one.unjudged]
    below = [one for one in lines if one.below]
    parts = []
    if waived:
        parts.append(f"{count(len(waived), 'accepted failure')} ({_where(waived)})")
    if tolerated:
        parts.append(f"{count(len(tolerated), 'failure')} within a tolerance ({_where(tolerated)})")
    if below:
        parts.append(f"{count(len(below), 'failure')} that do not count (fail_on = {fail_on}; {_where(below)})")
    if hidden:
        checks = {(one.target, one.device, one.check) for one in hidden}
        parts.append(f"{count(len(checks), 'accepted skipped check')} ({_where(hidden)})")
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""


def _where(some: Sequence[Line]) -> str:
    checks, targets = {one.check for one in some}, {one.target for one in some}
    return f"{count(len(checks), 'check')} in {count(len(targets), 'target')}"


def _unjudged(lines: Sequence[Line], counts: str) -> int:
    """How many checks were not judged, because a more basic one fails and is accepted."""
    return len({(one.target, one.device, one.check) for one in lines if one.unjudged and one.counts == counts})


def _told(asked: Asked) -> tuple[list[Line], list[Note]]:
    """What there is to tell of waivers: stale ones, those that end soon, those that are not needed."""
    lines: list[Line] = []
    notes: list[Note] = []
    policy = asked.sourced.policy
    for use in asked.book.uses:
        one, rule = use.waiver, asked.sourced.rule("waiver", use.place)
        name = line(one.id)
        days = (one.expires - asked.book.today).days
        if use.accepted:
            if days <= policy.warn_days:
                left = "today" if days == 0 else f"in {count(days, 'day')}"
                text = f"waiver {name} ends {left}, on {one.expires.isoformat()}; its failures count from the day after"
                notes.append(Note(level="warning", check="gate.waiver", message=text, rule=rule))
            continue
        about = f"{one.check}{' cases' if one.check in OF_LEVELS else ''} of {line(one.target)}"
        if one.of == NOT_JUDGED and (use.ended or use.passed):
            text = f"waiver {name} is not needed: {about} is tested now; remove it"
            notes.append(Note(level="note", check="gate.waiver", message=text, rule=rule))
        elif use.refused or use.spared:
            continue  # the failure says why its waiver does not hold; or it covers what does not count now
        elif use.passed:
            text = f"waiver {name} is not needed: {about} passes now; remove it"
            notes.append(Note(level="note", check="gate.waiver", message=text, rule=rule))
        elif use.other:
            text = f"waiver {name} accepts nothing: {about} is skipped"
            notes.append(Note(level="note", check="gate.waiver", message=text, rule=rule))
        else:
            text = f"waiver {name} matches nothing: no result is about {about}"
            if policy.stale_waivers == "fail":
                lines.append(
                    Line(
                        counts="fail",
                        verdict="fail",
                        check="gate.waiver",
                        message=text,
                        rule=f"{rule}; {asked.sourced.rule('stale_waivers')}",
                    )
                )
            else:
                notes.append(Note(level="warning", check="gate.waiver", message=text, rule=rule))
    return lines, notes


def _below(asked: Asked, lines: Sequence[Line]) -> Iterator[Note]:
    """A warning for each check of a target that fails and does not count."""
    found: dict[tuple[str, str, str], list[Line]] = {}
    for one in lines:
        if one.below:
            found.setdefault((one.target, one.device, one.check), []).append(one)
    for (target, device, check), some in found.items():
        where = target if device == "cpu" else f"{target} on {device}"
        text = f"{check} of {where} fails in {count(len(some), 'case')} ({some[0].level}) and does not count: {some[0].message}"
        yield Note(level="warning", check=check, message=text, rule=asked.sourced.rule("fail_on"))


def _notes(asked: Asked) -> list[Note]:
    granted = list(_granted(asked))
    if asked.sourced.policy.targets or not asked.evidence.audits:
        return granted
    text = "the policy names no targets, so a target that is not in the results is not missed"
    return [*granted, Note(level="note", check="gate.evidence", message=text, rule=asked.sourced.rule("targets"))]


def _granted(asked: Asked) -> Iterator[Note]:
    """What the contracts in the evidence grant themselves: the numbers of such checks rest on it."""
    for _, result in asked.evidence.audits:
        for target in result.targets:
            some = target.contract.get("tolerances")
            for check, value in some.items() if isinstance(some, dict) else ():
                if check not in asked.sourced.checks or not isinstance(value, int | float) or value <= 0:
                    continue
                policy = asked.sourced.policy.tolerances.get(check, 0.0)
                too = policy >= value
                text = f"the contract of {line(target.target)} grants {line(check)} ±{value:g}"
                text += ", which the policy grants too" if too else f"; the policy grants {policy:g}" if policy else ""
                rule = asked.sourced.rule("tolerances", check) if policy else asked.sourced.rule("tolerances")
                yield Note(level="note" if too else "warning", check="gate.evidence", message=text, rule=rule)


def _evidence(asked: Asked) -> list[str]:
    """What the decision rests on, a line a result."""
    made = []
    for file, result in asked.evidence.audits:
        made.append(f"audit {line(file)}: {_of(result.profile, result.seed, result.environment, len(result.targets))}")
    for file, bench in asked.evidence.benches:
        made.append(f"bench {line(file)}: {_of(bench.profile, bench.seed, bench.environment, len(bench.targets))}")
    return made


def _of(profile: str, seed: int, environment: Mapping[str, object], targets: int) -> str:
    when = line(str(environment.get("time", "")), 40)
    return f"profile {line(profile)}, seed {seed}, {count(targets, 'target')}" + (f", made {when}" if when else "")
