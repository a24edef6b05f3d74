"""Causes: which planted defect has the signature of what fails in a target, in words, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from dropcheck.judge.signatures import Facts, Likeness, Signature, facts, few, library, likeness
from dropcheck.results.audit import Finding

# Measured by `python -m dropcheck.selftest.signatures --rebuild` on the zoo, each defect under a seed that its signature
# had not seen; the shares of right and wrong names at these thresholds stand in signatures.json under "calibration".
EXACT = 0.95  # score from which, with EXACT_AGREE of the features, a signature is called exact
EXACT_AGREE = 0.95
LIKE = 0.8  # score below which nothing is named, and LIKE_AGREE the same for the share of features
LIKE_AGREE = 0.6
PART = 0.85  # the same where a signature explains only a part of the failing checks
OFTEN = 0.2  # share of a signature's cases from which it is no chance that none of the target's fails
NEAR = 0.02  # signatures this close to the best are named with it
MOST_NAMES = 3
MOST_CAUSES = 5
SHAPE = "form.shape-dtype"


@dataclass(frozen=True)
class Cause:
    """Planted defects whose signature fits, the failing checks that they explain, and how well.

    ``exact``: as well as a defect fits its own signature. ``narrow``: so little was asked (--select, --case) that much of
    the signature could not show.
    """

    defects: tuple[Signature, ...]
    checks: frozenset[str]
    exact: bool
    fit: Likeness
    narrow: bool = False

    @property
    def names(self) -> str:
        """The defect, or the defects that cannot be told apart here."""
        return " or ".join(d.name for d in self.defects)

    @property
    def text(self) -> str:
        """The line of a report: the mechanism, the name, and how sure the match is."""
        what = " or ".join(dict.fromkeys(d.summary for d in self.defects))
        word = "planted defect" if len(self.defects) == 1 else "planted defects"
        features = f"{self.fit.agree} of {self.fit.features} feature{'s' if self.fit.features != 1 else ''}"
        if self.exact and self.narrow:
            return f"{what} ({word} {self.names}, as far as was asked: {features})"
        if self.exact:
            sure = "exact signature" if len(self.defects) == 1 else "one signature, which does not distinguish them"
            return f"{what} ({word} {self.names}, {sure})"
        return f"not recognised, but like {word} {self.names}: {what} ({features})"


# --- matching --------------------------------------------------------------------------------------------------------


def causes(findings: Sequence[Finding], known: Sequence[Signature] | None = None) -> list[Cause]:
    """The likely causes of what fails in one target, most often one; an empty list where nothing fails or nothing fits."""
    if not any(f.verdict == "fail" for f in findings):
        return []
    seen = facts(findings)
    failing = frozenset(c for c, f in seen.items() if f.fails)
    return match(seen, failing, library().signatures if known is None else known)


def match(seen: Facts, failing: frozenset[str], known: Sequence[Signature]) -> list[Cause]:
    """One signature for all failing checks; else two for disjoint parts; else one for most of them; else several.

    A signature that what was seen contradicts is left out, however alike the rest is: see ``contradicted``.
    """
    known = [s for s in known if not contradicted(seen, s)]
    order = ranked(seen, known, None)
    whole = _best(seen, order, failing, LIKE)
    if whole is not None and not failing - whole.checks:
        return [whole]
    if order and order[0][0].score >= LIKE and whole is None:
        return []  # too many fit equally well: a name would be a guess
    fits = _partial_fits(seen, failing, known)
    parts = _parts(seen, failing, fits)
    if parts:
        return parts
    return [whole] if whole is not None else _several(seen, failing, fits)


def contradicted(seen: Facts, signature: Signature) -> bool:
    """Whether what was seen speaks against what a signature says of its own check, the one that names the defect.

    The check never fails though it was asked as widely; or it fails in most cases of a class of cases (a dtype, a rate, a
    size) where the signature never does, or never where the signature always does. Where outputs have another shape or
    dtype, whatever reads them fails with them: a signature in which they have not explains no failure of form and mode.
    """
    own, mine = signature.facts.get(signature.check), seen.get(signature.check)
    shapes, known = seen.get(SHAPE), signature.facts.get(SHAPE)
    malformed = shapes is not None and shapes.fails > 0
    if malformed and signature.check.startswith(("form.", "mode.")) and (known is None or not known.fails):
        return True
    if own is None or mine is None or not own.fails or few(mine, own):
        return False
    if not mine.fails:
        return own.failed_in == own.audits and own.fails >= OFTEN * own.judged
    for dimension in {*own.where} & {*mine.where}:
        for name in {*own.where[dimension]} & {*mine.where[dimension]}:
            theirs, of = own.where[dimension][name]
            fails, judged = mine.where[dimension][name]
            sure = of >= 2 * own.audits and judged >= 2
            if sure and ((theirs == 0 and 2 * fails >= judged) or (theirs == of and fails == 0)):
                return True
    return False


def ranked(seen: Facts, known: Iterable[Signature], only: frozenset[str] | None) -> list[tuple[Likeness, Signature]]:
    found = [(likeness(seen, s.facts, only), s) for s in known]
    return sorted(((fit, s) for fit, s in found if fit.checks), key=lambda pair: (-pair[0].score, pair[1].name))


def _best(
    seen: Facts, order: Sequence[tuple[Likeness, Signature]], failing: frozenset[str], least: float
) -> Cause | None:
    if not order or order[0][0].score < least:
        return None
    fit, _ = order[0]
    near = [(f, s) for f, s in order if f.score >= fit.score - NEAR]
    if len(near) > MOST_NAMES:
        return None
    if fit.agree < LIKE_AGREE * fit.features:
        return None
    exact = fit.score >= EXACT and fit.agree >= EXACT_AGREE * fit.features
    narrow = any(_narrow(seen, s.facts) for _, s in near)
    return Cause(tuple(s for _, s in near), frozenset(fit.checks) & failing, exact, fit, narrow)


def _narrow(seen: Facts, known: Facts) -> bool:
    """Whether a check that always fails in the signature was not judged, or in less than half of its usual cases."""
    return any(
        check not in seen or few(seen[check], f) for check, f in known.items() if f.fails and f.failed_in == f.audits
    )


def _broken(signature: Signature) -> frozenset[str]:
    return frozenset(c for c, f in signature.facts.items() if f.fails)


def _partial_fits(seen: Facts, failing: frozenset[str], known: Sequence[Signature]) -> list[tuple[Likeness, Signature]]:
    """Signatures that explain some of the failing checks, compared in their own checks alone; most checks first."""
    fits = [(likeness(seen, s.facts, _broken(s)), s) for s in known if _broken(s) & failing]
    good = [(fit, s) for fit, s in fits if fit.score >= PART and fit.checks]
    return sorted(good, key=lambda pair: (-len(pair[0].checks), -pair[0].score, pair[1].name))


def _parts(seen: Facts, failing: frozenset[str], fits: Sequence[tuple[Likeness, Signature]]) -> list[Cause]:
    """Two defects that live in different checks."""
    partial = [(fit, s) for fit, s in fits if frozenset(fit.checks) < failing]
    best: tuple[float, list[Cause]] = (0.0, [])
    for fit, s in partial:
        mine = frozenset(fit.checks)
        group = [(f, t) for f, t in partial if frozenset(f.checks) == mine]
        first = _best(seen, sorted(group, key=lambda pair: -pair[0].score), mine, PART)
        if first is None or s not in first.defects:
            continue
        rest = failing - mine
        others = [(f, t) for f, t in partial if frozenset(f.checks) <= rest]
        second = _best(seen, sorted(others, key=lambda pair: (-len(pair[0].checks), -pair[0].score)), rest, PART)
        if second is not None and second.checks == rest:
            score = min(first.fit.score, second.fit.score)
            if score > best[0]:
                best = (score, [first, second])
    return best[1]


def _several(seen: Facts, failing: frozenset[str], fits: Sequence[tuple[Likeness, Signature]]) -> list[Cause]:
    """A layer with more than two defects: the signature that explains most, then the one for most of the rest, and so on.

    What no signature explains stays without a name.
    """
    found: list[Cause] = []
    rest = failing
    while rest and len(found) < MOST_CAUSES:
        partial = [(fit, s) for fit, s in fits if _broken(s) <= rest and frozenset(fit.checks) <= rest]
        best = None
        for fit, _ in partial:
            alike = [(f, s) for f, s in partial if frozenset(f.checks) == frozenset(fit.checks)]
            best = _best(seen, sorted(alike, key=lambda pair: (-pair[0].score, pair[1].name)), rest, PART)
            if best is not None:
                break
        if best is None:
            break
        # other signatures may have parts as good: of several at once none is sure
        found.append(replace(best, exact=False))
        rest -= best.checks
    return found


def named(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, those that fail with their cause: its text, and the name by which reports group it."""
    found = {check: cause for cause in causes(findings) for check in cause.checks}
    return [
        msgspec.structs.replace(f, cause=found[f.check].text, defect=found[f.check].names)
        if f.verdict == "fail" and f.check in found
        else f
        for f in findings
    ]
