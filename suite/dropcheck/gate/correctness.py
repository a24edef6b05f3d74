"""Correctness: every required check of every required target, on every required device, becomes lines of the decision."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from dropcheck.gate.decision import Counts, Line
from dropcheck.gate.evidence import device_of, model_of, of_target, unsuited
from dropcheck.gate.policy import FAILURE, NOT_JUDGED, Sourced
from dropcheck.gate.records import Evidence, Here
from dropcheck.gate.releases import unmatched_releases
from dropcheck.gate.waivers import Book, deviation, measured, unjudged
from dropcheck.judge import levels
from dropcheck.judge.claims import of_whole_models
from dropcheck.results.audit import Finding, TargetResult, missing, missing_words
from dropcheck.results.naming import dtype_of
from dropcheck.results.plain_text import count, line


@dataclass(frozen=True)
class Asked:
    """What one gate goes by."""

    sourced: Sourced
    evidence: Evidence
    here: Here
    book: Book


def required_targets(asked: Asked) -> tuple[str, ...]:
    """Those of the policy; where it names none, those that the evidence is of."""
    if asked.sourced.policy.targets:
        return asked.sourced.policy.targets
    found = [t for _, result in asked.evidence.audits for t in result.targets]
    whole = {t.target for t in found if t.model}  # which stand for their layers, too
    return tuple(dict.fromkeys(t.target for t in found if t.target in whole or model_of(t.target) not in whole))


def missing_counts(sourced: Sourced, absent: bool) -> Counts:
    """How missing evidence counts. Only what is absent here (framework, device) can be skipped, never a crash or a doubt."""
    then = sourced.policy.on_missing
    if then == "fail":
        return "fail"
    return "none" if then == "skip" and absent else "missing"


def judge(asked: Asked) -> Iterator[Line]:
    """All lines about correctness."""
    stopped = [file for file, result in asked.evidence.audits if result.interrupted]
    if stopped and not asked.sourced.policy.targets:
        # without a list nobody can tell what else was to come
        yield _missing(
            asked, "", "cpu", f"the audit in {line(stopped[0])} was interrupted", asked.sourced.rule("targets")
        )
    for name, near in unmatched_releases(asked.sourced, asked.evidence):
        yield _missing(asked, "", "cpu", f"no evidence is of {line(name)}{near}", asked.sourced.rule("releases", name))
    for device in asked.sourced.policy.devices:
        for name in required_targets(asked):
            yield from _target(asked, name, device)


def _missing(
    asked: Asked, name: str, device: str, message: str, rule: str, absent: bool = False, again: str = ""
) -> Line:
    counts = missing_counts(asked.sourced, absent)
    if counts == "none":
        message = f"{message}; skipped: {line(asked.sourced.policy.missing_reason)}"
        rule = asked.sourced.rule("on_missing")
    return Line(
        counts=counts,
        verdict="skipped" if counts == "none" else "inconclusive",
        check="gate.evidence",
        target=line(name),
        device=device,
        message=message,
        rule=rule,
        again=again,
    )


def _audit(asked: Asked, name: str, device: str) -> str:
    policy = asked.sourced.policy
    words = ["dropcheck", "audit", name, "--profile", policy.profile]
    words += ["--device", device] if device != "cpu" else []
    words += ["--strict"] if policy.traits else []
    return shlex.join(words)


def _target(asked: Asked, name: str, device: str) -> Iterator[Line]:
    sourced = asked.sourced
    place = sourced.policy.targets.index(name) if name in sourced.policy.targets else None
    rule = sourced.rule("targets", place) if place is not None else sourced.rule("targets")
    if device != "cpu" or len(sourced.policy.devices) > 1:
        rule = f"{rule}; {sourced.rule('devices')}"
    again = line(_audit(asked, name, device), 1000)
    found = [
        (file, result, target)
        for file, result in asked.evidence.audits
        for target in result.targets
        if of_target(name, target.target) and device_of(result, target) == device
    ]
    if not found:
        yield _missing(asked, name, device, f"there is no audit of it on {device}", rule, again=again)
        return
    suited, unfit = 0, ("", "")
    for file, result, target in found:
        problem, why, failures = unsuited(sourced, result, target, asked.here)
        if problem:
            unfit = unfit if unfit[0] else (f"the audit in {line(file)} is no evidence: {line(problem)}", why)
            if failures:
                yield from _findings(asked, target, device, only_failures=True)
            continue
        suited += 1
        yield from _suited(asked, target, device, rule, again)
    if not suited:
        yield _missing(asked, name, device, *unfit, again=again)
    of_models = [check for check in sourced.checks if of_whole_models(check)]
    layers = [one for _, _, one in found if one.target != name and one.framework == "torch"]
    if of_models and layers and not any(one.model for _, _, one in found):
        text = f"there is no audit of the model as a whole: {of_models[0]} did not run"
        yield _missing(asked, name, device, text, sourced.rule("checks"), again=again)


def _suited(asked: Asked, target: TargetResult, device: str, rule: str, again: str) -> Iterator[Line]:
    """The lines of one audit that is evidence."""
    sourced = asked.sourced
    if target.skipped is not None:
        yield _missing(asked, target.target, device, line(target.skipped), rule, absent=True, again=again)
        return
    made = list(_findings(asked, target, device))
    yield from made
    if target.error is not None:
        yield _missing(asked, target.target, device, f"its audit ended early: {line(target.error)}", rule, again=again)
    if target.error is None:
        gone = [what for what in missing(target) if what[0] in sourced.checks]
        if gone:
            yield _missing(
                asked, target.target, device, line(missing_words(target)), sourced.rule("checks"), again=again
            )
    judged = {one.check for one in target.findings}
    left_out = [name for name in sourced.checks if name not in judged and of_whole_models(name) == target.model]
    if left_out and target.error is None:
        more = f" and {count(len(left_out) - 1, 'more check')}" if len(left_out) > 1 else ""
        yield _missing(
            asked, target.target, device, f"{left_out[0]}{more} did not run", sourced.rule("checks"), again=again
        )
    judged_in = {dtype_of(one) for one in target.findings if one.verdict != "skipped" and one.check in sourced.checks}
    for place, dtype in enumerate(sourced.policy.dtypes):
        if dtype not in judged_in and target.error is None and not target.model:
            text = f"nothing that is required was judged in {dtype}"
            yield _missing(asked, target.target, device, text, sourced.rule("dtypes", place), again=again)
    judged_at_all = any((one.counts in ("pass", "waived", "fail") or one.below) and not one.unjudged for one in made)
    if not judged_at_all and target.error is None:
        yield _missing(
            asked, target.target, device, "no check that is required was judged: nothing is proven", rule, again=again
        )


def _findings(asked: Asked, target: TargetResult, device: str, only_failures: bool = False) -> Iterator[Line]:
    required = set(asked.sourced.checks)
    fails, hidden = False, []
    for one in target.findings:
        # a result may say `waived`, but only this policy's waivers accept anything
        failing = one.verdict in ("fail", "waived")
        counts = levels.counts(one, asked.sourced.policy.fail_on)
        if only_failures and not failing:
            continue
        if one.check not in required:
            asked.book.meet(one, target.target, device, spared=True)
            if failing:
                yield _line(asked, target, device, one, "none", f"{line(one.message)}; not required", "ignore")
            continue
        if (failing or unjudged(one)) and not counts:
            asked.book.meet(one, target.target, device, spared=True)
            made = _line(asked, target, device, one, "none", line(one.message), "fail_on")
            yield msgspec.structs.replace(made, below=failing, unjudged=not failing)
            continue
        if failing:
            made = _failing(asked, target, device, one)
            fails = fails or made.counts == "fail"
            yield made
            continue
        if unjudged(one):
            hidden.append(one)
            continue
        asked.book.meet(one, target.target, device)
        if one.verdict == "pass":
            yield _line(asked, target, device, one, "pass", line(one.message))
        elif one.verdict == "skipped":
            yield _line(asked, target, device, one, "none", line(one.message))
        else:
            yield _line(asked, target, device, one, missing_counts(asked.sourced, False), line(one.message))
    for one in hidden:
        yield _unjudged(asked, target, device, one, fails)


def _unjudged(asked: Asked, target: TargetResult, device: str, one: Finding, fails: bool) -> Line:
    """A claim that nobody judged, because a more basic one does not hold. Where that one fails the gate, this is no news.

    Where it does not (it is waived, tolerated or not required) the claim is missing, until a waiver accepts that as well.
    """
    text = line(one.message)
    text = text if text.startswith("skipped") else f"skipped: {text}"
    if fails:
        asked.book.meet(one, target.target, device)
        made = _line(asked, target, device, one, "none", text)
        return msgspec.structs.replace(made, unjudged=True)
    found, use, why = asked.book.accept(one, target.target, device)
    if found.verdict == "waived" and use is not None:
        rule = asked.sourced.rule("waiver", use.place)
        made = _line(asked, target, device, found, "waived", text, rule=rule)
    else:
        text += f"; {why}" if why else ""
        made = _line(asked, target, device, one, missing_counts(asked.sourced, False), text)
    return msgspec.structs.replace(made, unjudged=True)


def _failing(asked: Asked, target: TargetResult, device: str, one: Finding) -> Line:
    granted = asked.sourced.policy.tolerances.get(one.check)
    far = deviation(one)
    if granted is not None and far is not None and far <= granted:
        text = f"{line(one.message)}; the deviation is at most {far:.4g}, within the tolerance"
        asked.book.meet(one, target.target, device, spared=True)
        made = _line(asked, target, device, one, "pass", text, rule=asked.sourced.rule("tolerances", one.check))
        return msgspec.structs.replace(made, tolerated=True)
    found, use, why = asked.book.accept(one, target.target, device)
    if found.verdict == "waived" and found.waiver is not None and use is not None:
        rule = asked.sourced.rule("waiver", use.place)
        return _line(asked, target, device, found, "waived", line(one.message), rule=rule)
    text = line(one.message) + (f"; {why}" if why else "")
    if granted is not None:
        text += f"; it is beyond the tolerance of {granted:g}: the deviation is " + (
            f"up to {far:.4g}" if far is not None else "not a number"
        )
    return _line(asked, target, device, one, "fail", text)


def _line(
    asked: Asked,
    target: TargetResult,
    device: str,
    one: Finding,
    counts: Counts,
    message: str,
    key: str = "checks",
    rule: str = "",
) -> Line:
    return Line(
        counts=counts,
        verdict="fail" if counts == "fail" else "pass" if counts == "pass" else one.verdict,
        check=one.check,
        target=line(target.target),
        case=line(one.case),
        device=device,
        message=message,
        rule=rule or asked.sourced.rule(key),
        again=line(one.replay, 1000),
        coins=one.coins,
        estimate=one.estimate,
        expected=one.expected,
        unit=line(one.unit),
        resolution=one.resolution,
        waiver=one.waiver if counts == "waived" else None,
        of=FAILURE if one.verdict in ("fail", "waived") else NOT_JUDGED if unjudged(one) else "",
        deviation=measured(one) if one.verdict in ("fail", "waived") else None,
        level=levels.of(one) if one.verdict in ("fail", "waived") else None,
    )
