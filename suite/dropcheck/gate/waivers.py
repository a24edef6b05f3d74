"""Waivers: which findings each accepts, until when, and what to tell about those that accept nothing."""

from __future__ import annotations

import datetime
import hashlib
import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import msgspec

from dropcheck.gate.policy import FAILURE, NOT_JUDGED, OF_LEVELS, Of, Waiver
from dropcheck.judge import levels
from dropcheck.judge.claims import INTERVALS
from dropcheck.results.audit import Finding, for_another
from dropcheck.results.audit import Waiver as Accepted
from dropcheck.results.naming import dtype_of, split_name

# Checks that state an interval with every failure that they measure: without one nobody knows how far it is off.
WITH_INTERVAL = (*INTERVALS, "speed.ratio", "speed.limit")


def id_of(one: Waiver) -> str:
    """A name that stays the same while check, target, kind and condition do: another date or reason changes nothing."""
    words = [one.check, one.target, one.when.dtype or "", one.when.mode or "", one.when.device or ""]
    text = "\x1f".join(words if one.of == FAILURE else [*words, one.of])
    return (
        f"{one.check.replace('.', '-')}-{hashlib.blake2b(text.encode('utf-8', 'replace'), digest_size=3).hexdigest()}"
    )


def matches(one: Waiver, finding: Finding, target: str, device: str) -> bool:
    """Whether a waiver is about this finding, whatever became of it."""
    named = levels.of(finding) == one.check if one.check in OF_LEVELS else finding.check == one.check
    if not named or not fnmatchcase(target, one.target):
        return False
    if one.when.dtype is not None and dtype_of(finding) != one.when.dtype:
        return False
    if one.when.mode is not None and split_name(target)[1] != one.when.mode:
        return False
    return one.when.device is None or one.when.device == device


def deviation(finding: Finding) -> float | None:
    """How far the truth may be from what was expected: the far end of the interval. Without an interval nobody knows."""
    if finding.estimate is None or finding.expected is None or finding.fail_interval is None:
        return None
    ends = [finding.estimate, *finding.fail_interval]
    far = [abs(end - finding.expected) for end in ends]
    return max(far) if all(math.isfinite(value) for value in far) else None


def measured(finding: Finding) -> float | None:
    """What a ceiling is held against: the deviation; of a check that states no interval, the distance of its estimate."""
    if finding.fail_interval is not None or finding.check in WITH_INTERVAL:
        return deviation(finding) or None
    if finding.estimate is None or finding.expected is None:
        return None
    far = abs(finding.estimate - finding.expected)
    return far if math.isfinite(far) and far > 0 else None


def unjudged(finding: Finding) -> bool:
    """Whether nobody judged the check here, because a more basic one fails."""
    return finding.verdict == "skipped" and for_another(finding.message)


def escaped(target: str) -> str:
    """A target's name as a glob that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in target)


@dataclass
class Use:
    """What became of one waiver in one decision: how many findings it accepted, and what else it met.

    ``ended``: failures that a waiver of what is not judged met; ``spared``: findings that count without it, since they do
    not apply, are not required, or follow from a failure that counts.
    """

    waiver: Waiver
    place: int
    accepted: int = 0
    refused: list[str] = field(default_factory=list)
    passed: int = 0
    ended: int = 0
    spared: int = 0
    other: int = 0


@dataclass
class Book:
    """All waivers of a policy on one day."""

    today: datetime.date
    uses: list[Use]

    def accept(self, finding: Finding, target: str, device: str) -> tuple[Finding, Use | None, str]:
        """The finding as waived, or as it is with the reason why a waiver that is about it does not hold."""
        of: Of = NOT_JUDGED if unjudged(finding) else FAILURE
        why, by = "", None
        for use in self.uses:
            one = use.waiver
            if not matches(one, finding, target, device):
                continue
            if one.of != of and one.check not in OF_LEVELS:
                if of == FAILURE:
                    use.ended += 1
                    other = f"waiver {one.id} accepted only that it was skipped, and it is tested now"
                else:
                    use.other += 1
                    other = f"waiver {one.id} accepts a failure of it, not that it is skipped"
                why, by = why or other, by or use
                continue
            refusal = self._refusal(one, finding)
            if not refusal:
                use.accepted += 1
                stamp = Accepted(id=one.id, reason=one.reason, expires=one.expires.isoformat(), link=one.link)
                return msgspec.structs.replace(finding, verdict="waived", waiver=stamp), use, ""
            use.refused.append(refusal)
            why, by = refusal, use
        return finding, by, why

    def meet(self, finding: Finding, target: str, device: str, spared: bool = False) -> None:
        """Note a finding that needs no waiver, so that a waiver that is not needed is reported."""
        for use in self.uses:
            if matches(use.waiver, finding, target, device):
                if spared or (use.waiver.of == NOT_JUDGED and unjudged(finding)):
                    use.spared += 1
                elif finding.verdict == "pass":
                    use.passed += 1
                else:
                    use.other += 1

    def _refusal(self, one: Waiver, finding: Finding) -> str:
        if self.today > one.expires:
            return f"waiver {one.id} expired on {one.expires.isoformat()}"
        if one.ceiling is None and not one.unmeasured:
            return ""
        if unjudged(finding):
            return ""  # a waiver of a level; what is judged later is held against the ceiling then
        far = measured(finding)
        if far is None:
            if one.unmeasured:
                return ""
            return (
                f"waiver {one.id} has a ceiling of {one.ceiling:g}, and this result has no deviation to compare with it"
            )
        if one.ceiling is None:
            return f"waiver {one.id} accepts failures without a number, and the deviation may be {far:.4g}"
        if not far <= one.ceiling:
            return f"the deviation may be {far:.4g}, above the ceiling {one.ceiling:g} of waiver {one.id}"
        return ""


def book(waivers: tuple[Waiver, ...], today: datetime.date) -> Book:
    """The waivers, none used yet."""
    return Book(today, [Use(one, place) for place, one in enumerate(waivers)])
