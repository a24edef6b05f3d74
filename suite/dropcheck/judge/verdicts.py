"""Judging: the verdicts of one case, and their order: what cannot be interpreted beside a more basic failure is said so.

What depends on what, in one case. A claim is withheld there while a claim in its row fails:

======================================== ============================ ==================================================
claim                                    is withheld while            because
======================================== ============================ ==================================================
mask.distinct-channels, -samples         whole-channels               a coin is read off elements that do not agree
mask.distinct-calls                      nothing                      whole calls are equal or not under any pattern; words
                                                                      of coins are read only where the pattern holds
mask.independent-channels, patterns,     whole-channels, distinct-    copies are dependence, and rows that stand twice
dropped-count                            channels, -samples, -calls   count twice
mask.independent-samples, -calls         whole-channels, distinct-    the same
                                         samples, -calls
the same, unless they fail               distinct-channels            copied channels count twice; before these checks
                                                                      fail, they leave copies out
the same, where they fail by no more     dropped-count                sums over channels that are tied vary V times as much
than a V-th of their evidence                                         as those of independent ones; V is the measured ratio
mask.ignores-values                      whole-channels               values are drawn by the audit, coin by coin: no
                                                                      dependence among coins ties them to coins
rate.*, counted                          all of mask.* above but      n coins that are fewer coins, or tied ones, vary
                                         ignores-values               more than n independent ones
seed.distinct, seed.neighbours           whole-channels               as above; copies are left out by the checks themselves
the same, unless they fail               seed.reproducible            seeds that reach nothing give unrelated streams, too
scale.mean, if it fails                  scale.kept-values            of the same dtype: what single values show is shared
mask.independent-*, dropped-count,       rate.marginal, by some       calls with a rate of their own make all coins of a
patterns, other rates                    calls with their own rate,   call look tied
                                         or by their number
daily use (``_IN_TURN``), if it fails    whole-channels, distinct-*   a layer that repeats its own words shares them
======================================== ============================ ==================================================

Two claims meet the other way round: words assume that the coins of a call are independent. Where words of different places
agree more often than that (``copies.spread``) and a claim of dependence fails in the same case, repeated words are what is
withheld, unless the copies are certain without them.

Where a case does not ask a more basic claim (copies at rates that show none, say), the other cases of the same dtype that ask
both stand for it. Claims that were not selected are evaluated all the same, so that no verdict depends on ``--select``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from dropcheck.contract.cases import Case
from dropcheck.count.gather import Refusal
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks import CHECKS, of
from dropcheck.judge.checks.base import Check, finding
from dropcheck.judge.checks.refusals import crashed
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding, Verdict
from dropcheck.results.naming import lead

_WHOLE = of("whole")
_CHANNELS, _ROWS_AND_CALLS = of("copied channels"), of("copied rows", "copied calls")
_COPIES = (*_CHANNELS, *_ROWS_AND_CALLS)
_TIES = of("ties")  # within a row
_TIED_ROWS, _TIED_CALLS = of("tied rows"), of("tied calls")
_LAGS = (*_TIED_ROWS, *_TIED_CALLS)
_DROPPED = "mask.dropped-count"
_RATE, _APART = of("rate"), of("rates apart")
_SEEDS = of("seeds")
# what calls of several layers, or of one in several situations, show: they are told from each other by their words of coins
_IN_TURN = of("layers in turn")
_ROWS = "rate.per-sample"
_REPRODUCIBLE = "seed.reproducible"
_VALUES = "scale.kept-values"
UNTOUCHED, SHAPE = "form.input-untouched", "form.shape-dtype"
ASIDE = (UNTOUCHED, SHAPE)

# claim -> the more basic ones, in the order in which they are named; see the table above
DEPENDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((*_CHANNELS, *of("copied rows")), _WHOLE),
    **dict.fromkeys(_TIES, (*_WHOLE, *_COPIES)),
    **dict.fromkeys(_LAGS, (*_WHOLE, *_ROWS_AND_CALLS)),
    **dict.fromkeys(of("values"), _WHOLE),
    **dict.fromkeys((*_RATE, *_APART), (*_WHOLE, *_COPIES, *_TIES, *_LAGS)),
    **dict.fromkeys(_SEEDS, _WHOLE),
}
# where words alone do not tell copies from dependence; see ``checks.mask.dependent``
_WORDS = tuple(check.name for check in CHECKS if check.words)
_WITHIN = (*_TIES, *_TIED_ROWS)


# what is missing there went with the rows that have a rate of their own: see ``count.row_rates``
_OF_ROWS = (*_COPIES, *_TIES, *_LAGS, *_SEEDS)


def _cases(one: Finding) -> tuple[str, ...]:
    """The cases that a finding was counted on: its own, or all those that it compares."""
    members = one.tallies.get("cases") if one.check == "rate.per-shape" else None
    return tuple(members) if isinstance(members, list) else (one.case,)


class _Known:
    """Which claims were asked of which cases, and where they fail."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.asked: dict[str, set[str]] = defaultdict(set)
        self.odd: set[str] = set()  # cases where the rate is not that of all calls
        self.told: dict[str, set[str]] = defaultdict(set)
        self.failed: dict[str, set[str]] = defaultdict(set)
        self.tied: dict[str, set[str]] = defaultdict(set)  # copies that dependence may explain
        self.anywhere: set[str] = set()  # of these, cases whose longer words repeat at whole rows
        # how much more than independent ones the drops of a row vary, where that fails
        self.ratio: dict[str, float] = {}
        for one in findings:
            self.asked[one.check].update(_cases(one))
            if one.verdict != "inconclusive":
                self.told[one.check].update(_cases(one))
            if one.verdict == "fail":
                self.failed[one.check].update(_cases(one))
                if "odd_calls" in one.tallies or "drops_by_block" in one.tallies:
                    self.odd.add(one.case)
                if one.check == _DROPPED:
                    self.ratio[one.case] = float(one.tallies.get("variance_ratio", 1.0))
                if one.check in _WORDS and "spread" in one.tallies:
                    self.tied[one.check].add(one.case)
                    if one.tallies.get("offset_aligned"):
                        self.anywhere.add(one.case)

    def explained(self, check: str, case: str) -> str | None:
        """The claim of dependence that makes words of this case repeat, if this check failed by words alone."""
        if case not in self.tied[check]:
            return None
        # words at any offset may be shorter than wide rows: ties of calls, place by place, then make them repeat
        names = (*_WITHIN, *_TIED_CALLS) if case in self.anywhere else _WITHIN
        here = next((name for name in names if case in self.failed[name]), None)
        alike = (n for n in _WITHIN if any(lead(other) == lead(case) for other in self.failed[n]))
        return here or next(alike, None)

    def _fails(self, basis: str, case: str) -> bool:
        return case in self.failed[basis] and self.explained(basis, case) is None

    def basis(self, one: Finding) -> str | None:
        """The more basic check that fails for what this finding was counted on, if any."""
        found = next((self.explained(one.check, case) for case in _cases(one)), None)
        if found is not None:
            return found
        names = DEPENDS.get(one.check, ())
        if any(case in self.odd for case in _cases(one)):
            if one.check in (*_TIES, *_LAGS, *_APART):
                return _RATE[0]
            names = tuple(name for name in names if name not in (*_TIES, *_LAGS))
        if one.verdict != "fail" and one.check in _LAGS:
            names = (*names, *_CHANNELS)
        if self._inflated(one):
            return _DROPPED
        for name in names:
            for case in _cases(one):
                if self._fails(name, case):
                    return name
                if case in self.told[name]:
                    continue
                both = self.failed[name] & self.asked[one.check]
                if any(lead(other) == lead(case) and self._fails(name, other) for other in both):
                    return name
        return None

    def _inflated(self, one: Finding) -> bool:
        """Whether ties within rows alone may make the coins of rows or calls look tied.

        The lags are summed over channels as if these were independent. Where channels have correlations r >= 0 with each other,
        the sum varies 1 + (C - 1) mean(r^2) <= V times as much, with V the variance ratio of the drops per row; the exponent
        of a normal tail falls by that factor.
        """
        ratio = self.ratio.get(one.case, 1.0)
        if one.check not in _LAGS or one.verdict != "fail" or ratio <= 1 or one.alpha is None:
            return False
        return (one.log10_evidence or 0.0) / ratio > math.log10(one.alpha)

    def unseeded(self, one: Finding) -> bool:
        """Whether the seeds of this finding's case reach nothing, or not all."""
        words = one.case.split()
        way = next((w for w in words if w.startswith("way=")), None)
        return one.check in _SEEDS and any(
            lead(case) == words[0] and "fresh process" not in case and (way is None or way in case.split())
            for case in self.failed[_REPRODUCIBLE]
        )


def interpret(findings: Sequence[Finding], beside: Sequence[Finding] = (), seeds: bool = True) -> list[Finding]:
    """Findings in the order of judgement, case by case: those that depend on a failure become skipped, with the reason.

    ``beside``: findings that nobody selected; they count as reasons and are not returned. ``seeds``: False for stored results,
    which may come from before ``seed.distinct`` depended on ``seed.reproducible``.
    """
    known = _Known([*findings, *beside])
    rows = (one for one in (*findings, *beside) if one.check == _ROWS and one.verdict == "fail")
    dtypes = {lead(one.case) for one in rows if known.basis(one) is None}
    # a factor that is shared and wrong beyond the bound of one value is that of the single values that are told already
    values = {lead(one.case) for one in (*findings, *beside) if one.check == _VALUES and one.verdict == "fail"}
    judged = []
    for one in findings:
        cause = known.basis(one) if one.verdict in ("pass", "fail", "inconclusive") else None
        if cause is None and seeds and one.verdict in ("pass", "inconclusive") and known.unseeded(one):
            cause = _REPRODUCIBLE
        if one.check == "scale.mean" and one.verdict == "fail" and lead(one.case) in values:
            cause = _VALUES
        if cause is None:
            cause = _repeats(one, known)
        if cause is not None:
            one = _withheld(one, f"{cause} fails")
        elif one.verdict == "inconclusive" and lead(one.case) in dtypes and one.check in _OF_ROWS:
            one = _withheld(one, f"{_ROWS} fails and too few rows have the common rate")
        judged.append(one)
    return judged


def _repeats(one: Finding, known: _Known) -> str | None:
    """The check of copies that fails where a layer repeats its own words: two layers then share words, or one keeps a mask.

    Rows of equal channels hold few coins: there, chance makes two layers share some.
    """
    if one.verdict != "fail" or one.check not in _IN_TURN or "within" not in one.tallies:
        return None
    whole = _WHOLE if one.tallies.get("torn") else ()
    causes = (*whole, *_COPIES) if one.tallies["within"] or whole else _CHANNELS if one.tallies.get("common") else ()
    return next((n for n in causes if lead(one.case) in map(lead, known.failed[n])), None)


def _withheld(one: Finding, why: str) -> Finding:
    return msgspec.structs.replace(
        one, verdict="skipped", message=f"{NOT_INTERPRETABLE} {why}: {one.message}", picture=None
    )


def beneath(found: Sequence[Finding], case: Case, plan: Callable[[Check], bool]) -> list[Check]:
    """The checks that nobody asked of this case and that the verdicts found in it depend on.

    ``plan``: whether a full plan asks a check of the case. Cases under many seeds are asked no checks of the mask: there the
    basis is evaluated whatever a plan says.
    """
    there = {one.check for one in found}
    names = {name for check in there for name in DEPENDS.get(check, ())}
    if there & set(_LAGS):
        names |= {*_CHANNELS, _DROPPED}
    if there & {*_TIES, *_LAGS, *_APART}:
        names.update(_RATE)
    if case.regime == "seeds":
        names &= set(_WHOLE)
    if any("spread" in one.tallies for one in found):
        names.update((*_WITHIN, *_LAGS))
    names -= there
    return [c for c in CHECKS if c.name in names and (case.regime == "seeds" or plan(c))]


def judge(
    got: Gathered,
    checks: Sequence[Check],
    aside: Sequence[Check],
    profile: str,
    strict: bool,
    resolution: float | None,
) -> list[Finding]:
    """What each check says of one case.

    ``aside``: of the exact checks that were selected, those of ``ASIDE``, which are told of changed inputs and outputs of
    another shape or dtype. If nobody else speaks for such an output, the checks of the case are an error, never left out.
    """
    found: list[Finding] = []
    malformed = got.proof.get("malformed")
    if malformed:
        wrong = malformed["error"] or f"a call returns {malformed['dtype']} {tuple(malformed['shape'] or ())}"
    spoken = [c for c in aside if c.name == SHAPE]
    for check in checks:
        if check.judge is None:
            continue
        if malformed:
            verdict: Verdict = "skipped" if spoken else "error"
            reason = f"{NOT_INTERPRETABLE} {SHAPE} fails: {wrong}"
            if not spoken:
                reason = f"the check needs outputs with the shape and dtype of the input (see {SHAPE}): {wrong}"
            found.append(finding(check, got.case, verdict, reason))
            continue
        if check.family in ("mask", "rate", "seed") and got.mostly_nonfinite:
            text = f"{NOT_INTERPRETABLE} outputs are not finite (see {_VALUES})"
            found.append(finding(check, got.case, "skipped", text))
            continue
        if check.family in ("mask", "rate", "seed") and got.unrecognisable:
            text = f"{NOT_INTERPRETABLE} outputs are neither the dropped value nor a kept one (see {_VALUES})"
            found.append(finding(check, got.case, "skipped", text))
            continue
        limits = check.limits(profile, got.case, strict, resolution)
        one = check.judge(check, got, limits)
        if one is not None:
            if one.alpha is None and math.isfinite(limits.alpha):
                one = msgspec.structs.replace(one, alpha=limits.alpha)
            found.append(one)
    if malformed:
        asked = f"{got.case.dtype} {', '.join(str(s) for s in got.case.shapes(got.contract.pattern))}"
        found.extend(
            finding(c, got.case, "fail", f"{wrong} for an input of {asked}", log10_evidence=-math.inf) for c in spoken
        )
    if got.proof.get("changed_inputs"):
        text = "a call changes its input"
        found.extend(finding(c, got.case, "fail", text) for c in aside if c.name == UNTOUCHED)
    return found


def refused_case(case: Case, checks: Sequence[Check], refusal: Refusal) -> list[Finding]:
    """What the checks of a case say when the layer raised its own exception on it."""
    verdict: Verdict = "skipped" if refusal.where == "unsupported" else "error"
    text = f"the layer raises {refusal} ({refusal.where})"
    if case.layout != "contiguous" and not crashed(refusal):
        # a layer may refuse what is not contiguous; what the refusal is worth is judged by form.strides
        verdict, text = "skipped", f"the layer rejects {case.layout} inputs (see form.strides): {refusal}"
    return [finding(c, case, verdict, text) for c in checks if c.judge is not None]
