"""Stored results as evidence: read, held against their own numbers, and asked whether they are of what the policy wants."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropcheck.contract.requirements import JOIN
from dropcheck.gate.policy import PROFILES, Sourced, age
from dropcheck.gate.records import Evidence, Here
from dropcheck.gate.releases import other_release
from dropcheck.judge.claims import CLAIMS
from dropcheck.results import asked
from dropcheck.results.audit import Finding, Result, ResultError, TargetResult, overall, verdict_of
from dropcheck.results.naming import split_name

if TYPE_CHECKING:
    from dropcheck.results.bench import BenchResult
    from dropcheck.results.reading import Stored

# Options of an audit that make it ask less than its profile does, or something else.
NARROWING = ("--case", "--rate", "--shape", "--budget", "--resolution", "--input")
# No check of any profile has a smaller share of 1e-6 than this; `dropcheck verify` knows the share of each.
LEAST_LOG10 = -12.0
CHANGED = "the file of the layer has changed since this audit"


def load(paths: Sequence[Path]) -> Evidence:
    """Read stored results, whatever holds them: a file, compressed or not, a page, a folder.

    Raises ResultError with the file and the place of the damage.
    """
    from dropcheck.results import reading

    audits: list[tuple[str, Result]] = []
    benches: list[tuple[str, BenchResult]] = []
    for path in paths:
        for found in _read(lambda path=path: reading.load_all(path), str(path)):  # type: ignore[misc]
            if isinstance(found, Result):
                audits.append((str(path), found))
            else:
                benches.append((str(path), found))
    return Evidence(tuple(audits), tuple(benches))


def decode(data: bytes, name: str) -> list[Result | BenchResult]:
    """The stored results in these bytes. Raises ResultError; nothing else, whatever the bytes are."""
    from dropcheck.results import reading

    return _read(lambda: reading.parsed(data, name), name)


def _read(get: Callable[[], list[Stored]], name: str) -> list[Result | BenchResult]:
    try:
        found = get()
    except RecursionError:
        raise ResultError(f"{name} is damaged: no result is nested as deeply as this") from None
    except ResultError:
        raise
    except (ValueError, OverflowError) as error:  # a number of thousands of digits, a name that no file can have
        raise ResultError(f"{name} is damaged: {error}") from error
    made: list[Result | BenchResult] = []
    for one in found:
        if one.kind == "selftest":
            raise ResultError(f"{name} is a self-test; expected a result of dropcheck audit or dropcheck bench")
        if isinstance(one, Result):
            from dropcheck.judge import recomputing

            agrees(one, name)
            recomputing.verified(one, name)
        made.append(one)
    return made


def agrees(result: Result, name: str) -> None:
    """Raise ResultError where a result contradicts itself: verdicts are functions of what lies below them."""
    for what in ("alpha", "beta"):
        if not 0 < getattr(result, what) < 1:
            raise ResultError(f"{name} is damaged: its {what} must lie between 0 and 1 - at `$.{what}`")
    for place, target in enumerate(result.targets):
        where = f"$.targets[{place}]"
        for number, one in enumerate(target.findings):
            if problem := _contradiction(one):
                raise ResultError(f"{name} is damaged: {problem} - at `{where}.findings[{number}]`")
        if target.skipped is not None and any(one.verdict in ("fail", "waived") for one in target.findings):
            raise ResultError(f"{name} is damaged: it is skipped, though results of it fail - at `{where}.skipped`")
        expected = verdict_of(target.findings, target.error)
        if target.verdict != expected:
            raise ResultError(
                f"{name} is damaged: the verdict {target.verdict!r} is not that of the results below it, "
                f"{expected!r} - at `{where}.verdict`"
            )
    expected = overall([target.verdict for target in result.targets])
    if result.verdict != expected:
        raise ResultError(
            f"{name} is damaged: the verdict {result.verdict!r} is not that of the targets below it, {expected!r} - at "
            "`$.verdict`"
        )


def _contradiction(one: Finding) -> str:
    """Why a finding cannot be what it says; an empty text where it can."""
    if one.check not in CLAIMS:
        return f"there is no check {one.check!r}"
    if one.verdict == "waived" and one.waiver is None:
        return "it is waived by nothing"
    numbers = [one.estimate, one.expected, one.resolution, one.log10_evidence, one.alpha, *(one.fail_interval or ())]
    if any(value is not None and not math.isfinite(value) for value in numbers):
        return "one of its numbers is none"
    if one.coins < 0 or (one.resolution is not None and one.resolution < 0):
        return "a count or a resolution is below 0"
    if one.verdict != "pass" or one.ledger is not None:
        return ""
    if one.alpha is not None and one.log10_evidence is not None:
        if not 0 < one.alpha < 1:
            return "its alpha must lie between 0 and 1"
        if one.log10_evidence <= math.log10(one.alpha):
            return "it passes, though its evidence is beyond its alpha"
    # the mean of the scale is judged by its interval
    if one.alpha is None and one.check != "scale.mean" and (one.log10_evidence or 0.0) <= LEAST_LOG10:
        return "it passes without an alpha, though its evidence is beyond every level"
    if one.resolution is not None and not one.coins:
        return "it passes with a detection limit, but without a drop decision"
    return ""


def model_of(found: str) -> str:
    """The model that a layer's target is inside of, in the same mode and environment; of any other target its own name.

    ``file.py:model#encoder.drop@compiled with torch==2.4.1`` is of ``file.py:model@compiled with torch==2.4.1``.
    """
    base, join, releases = found.partition(JOIN)
    head, at, words = base.partition("@")
    return f"{head.partition('#')[0]}{at}{words}{join}{releases}"


def _bare(name: str) -> str:
    """A target's name without mode and environment, which options may give to all targets of an audit."""
    return split_name(name.partition(JOIN)[0])[0]


def of_target(name: str, found: str) -> bool:
    """Whether a result is of a target: it has its name, or is of a layer inside of that model."""
    return found == name or model_of(found) == name


def device_of(result: Result, target: TargetResult) -> str:
    """Where an audit ran: as it says; of an older one, as the commands of its findings or its own command said."""
    if result.device is not None:
        return result.device
    replay = next((one.replay for one in target.findings if one.replay), "")
    return asked.option(asked.words_of(replay), "--device") or asked.of(result).device or "cpu"


def unsuited(sourced: Sourced, result: Result, target: TargetResult, here: Here) -> tuple[str, str, bool]:
    """Why an audit is no evidence for this policy: the reason, the policy line, and whether its failures count all the same.

    A failure that a coarser or narrower audit found is a failure; one of another release, or of long ago, is not.
    """
    policy, given = sourced.policy, asked.of(result)
    if problem := old(sourced, result.environment, here):
        return problem, sourced.rule("max_age"), False
    if other := other_release(sourced, target, result.environment):
        return other[0], other[1], False
    model = model_of(target.target)
    if problem := _other_file(target, model, here):
        return problem, "the evidence must be of what is here", problem != CHANGED
    named = target.target if target.target in policy.patterns else model
    pattern, wanted = target.contract.get("pattern"), policy.patterns.get(named)
    if wanted is not None and target.contract and squeezed(pattern) != squeezed(wanted):
        return f"it was audited as {pattern!r}, not as {wanted!r}", sourced.rule("patterns", named), False
    if wanted is None and given.pattern:
        return (
            f"it was audited with --pattern {pattern!r}, which the policy does not name",
            f"add it to [patterns] of {sourced.name or 'the policy'}",
            False,
        )
    if target.target != model and target.target not in policy.targets:
        if result.interrupted:
            return (
                "it was interrupted, so the layers that were still to come are unknown",
                sourced.rule("targets"),
                True,
            )
        typed = {_bare(name) for name in given.names}
        if _bare(target.target) in typed and _bare(model) not in typed:
            return "it was asked for one layer of the model", sourced.rule("targets"), True
    if not result.alpha <= policy.alpha:
        return f"its alpha is {result.alpha:g}", sourced.rule("alpha"), False
    if rank(result.profile) < rank(policy.profile):
        return f"its profile is {result.profile}", sourced.rule("profile"), True
    if not given.told:
        return "it does not say what it was asked, so it may be narrowed", sourced.rule("profile"), True
    for name in NARROWING:
        if name in given.narrowed:
            return f"the audit was narrowed by {name}", sourced.rule("profile"), True
    if given.dtypes and (not policy.dtypes or not set(policy.dtypes) <= set(given.dtypes)):
        return f"the audit was narrowed by --dtype {','.join(given.dtypes)}", sourced.rule("dtypes"), True
    if policy.traits and not given.strict:
        return "the audit did not judge traits (--strict)", sourced.rule("traits"), True
    return "", "", True


def _other_file(target: TargetResult, model: str, here: Here) -> str:
    """Why an audit is not of the file that lies here; an empty text where it is, or where there is no file to compare."""
    name = target.target if target.target in here.sources else model
    if name not in here.sources:
        return ""
    now = here.sources[name]
    if now is None:
        return "the file of the layer cannot be read here"
    if now and not target.source:
        return "it does not say from which file the layer was"
    return CHANGED if target.source != now else ""


def squeezed(pattern: Any) -> str:
    """A pattern without what does not matter in how it is written."""
    return " ".join(str(pattern).split())


def rank(profile: str) -> int:
    """Profiles from coarse to fine; of several in one result the coarsest counts, what is unknown is coarser than all."""
    words = [word.strip() for word in profile.split(",")]
    return min(PROFILES.index(word) if word in PROFILES else -1 for word in words)


def old(sourced: Sourced, environment: Mapping[str, Any], here: Here) -> str:
    """Why a result is older than the policy allows; an empty text where it is not."""
    limit = sourced.policy.max_age
    if limit is None:
        return ""
    try:
        made = datetime.datetime.fromisoformat(str(environment.get("time", "")))
        passed = here.now - made
    except (ValueError, TypeError, OverflowError):
        return "it does not say when it was made"
    if passed < -datetime.timedelta(days=1):
        return f"it says that it was made on {made.date().isoformat()}, which is yet to come"
    return f"it was made on {made.date().isoformat()}, {passed.days} days ago" if passed > age(limit) else ""
