"""Verdicts computed again from the numbers that a result stores, so that a page or a file cannot say more than they do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from dropcheck.contract.cases import Case, parse_case
from dropcheck.contract.errors import UsageError
from dropcheck.contract.promise import Contract, Pattern
from dropcheck.contract.register import Registered, register
from dropcheck.contract.requirements import JOIN
from dropcheck.count.copies import CERTAIN, odd_log10
from dropcheck.count.schedules import change_log10
from dropcheck.judge import possible
from dropcheck.judge.checks import CHECK
from dropcheck.judge.checks.base import ALPHA, MOST_CASES, Check
from dropcheck.judge.verdicts import interpret
from dropcheck.results import asked
from dropcheck.results.audit import (
    Finding,
    Result,
    ResultError,
    TargetResult,
    for_another,
    missing_words,
    overall,
    verdict_of,
)
from dropcheck.results.embedded import LEFT_OUT
from dropcheck.statistics import binomial

SLACK = 1e-5  # relative: another release of SciPy may round otherwise, and a page may keep six digits of what passes
FAR = -250.0  # log10; beyond, a bound stands for the exact tail


@dataclass
class Recomputed:
    """What was computed again. ``disagreements``: one sentence each, with the place in the document.

    ``planned``: results of all plans, None where a target has no plan; ``missing``: one sentence a target.
    """

    findings: int = 0
    counted: int = 0
    evidence: int = 0
    disagreements: list[str] = field(default_factory=list)
    planned: int | None = 0
    missing: list[str] = field(default_factory=list)

    @property
    def whole(self) -> str:
        """Whether the result holds all that was planned, for a reader."""
        if self.missing:
            return f"The result is not whole: {'; '.join(self.missing)}."
        if self.planned is None:
            return (
                "It carries no plan, so a result that was removed from it would not be noticed. Audit again to get one."
            )
        return f"It carries its plan, and all {self.planned:,} planned results are there."

    @property
    def sentence(self) -> str:
        """What was done, for a reader."""
        rest = self.findings - self.counted - self.evidence
        plural = "" if self.findings == 1 else "s"
        return (
            f"Recomputed: {self.findings:,} verdict{plural}, {self.counted:,} of them from the counts, "
            f"{self.evidence:,} from evidence and detection limit. The result only states the other {rest:,}, from exact tests or "
            f"reasons. {self.whole}"
        )


def verified(result: Result, name: str) -> Recomputed:
    """Raise ResultError with the first disagreement between numbers and verdicts, and how many more there are."""
    done = recompute(result)
    if done.disagreements:
        more = len(done.disagreements) - 1
        tail = f" ({more} more disagreement{'s' if more > 1 else ''})" if more else ""
        raise ResultError(f"{name} does not agree with its own numbers: {done.disagreements[0]}{tail}")
    return done


def recompute(result: Result) -> Recomputed:
    """All verdicts of a result again: of findings from their numbers, of targets from findings, of the run from targets."""
    done = Recomputed()
    wanted = _resolution(result)
    strict = "--strict" in result.argv or asked.of(result).strict
    # of several results as one: the levels of the profile with the fewest cases, and the resolutions of the coarsest
    profiles = [word for word in result.profile.split(", ") if word in MOST_CASES]
    light = LEFT_OUT in result.environment  # a page may leave counts out
    for place, target in enumerate(result.targets):
        where, owner = f"$.targets[{place}]", target.target[:200]
        if gone := missing_words(target):
            done.missing.append(f"{owner}: {gone}")
        if target.planned is None and target.skipped is None:
            done.planned = None
        elif done.planned is not None and target.planned is not None:
            done.planned += sum(map(len, target.planned.values()))
        for number, one in enumerate(target.findings):
            done.findings += 1
            for said in _finding(one, target, profiles, strict, wanted, done, light):
                where_one = f"{owner}, {one.check}, {one.case[:200]}"
                done.disagreements.append(f"{where_one}: {said} - at `{where}.findings[{number}]`")
        said_of_all = [*_target(target), *_plan(target, profiles)]
        done.disagreements += [f"{said} - at `{where}`" for said in said_of_all]
    total = overall([t.verdict for t in result.targets])
    if result.verdict != total:
        done.disagreements.append(
            f"the verdict is {result.verdict}, but that of all targets is {total} - at `$.verdict`"
        )
    return done


def _target(target: TargetResult) -> Iterator[str]:
    expected = verdict_of(target.findings, target.error)
    if target.verdict != expected:
        yield f"the verdict of {target.target[:200]} is {target.verdict}, but its results make it {expected}"
    yield from _granted(target)
    # the order of judgement: what was counted on a broken basis may not stand as a pass. A failure may: a later release may
    # withhold more of them, and a result with one failure too many lets nothing through
    for one, again in zip(target.findings, interpret(target.findings, seeds=False), strict=True):
        if one.verdict == "pass" and again.verdict != one.verdict:
            yield f"{one.check}, {one.case[:200]} is {one.verdict}, but it should be {again.message.split(':', 1)[0]}"
            return


def _granted(target: TargetResult) -> Iterator[str]:
    """Deviations that the stored contract grants, and that of the implementation of this name, where one is registered, not."""
    known = _declared(target.target.partition(JOIN)[0].partition("@")[0])
    if known is None:
        return
    tolerances, grid = target.contract.get("tolerances"), target.contract.get("grid")
    for check, value in tolerances.items() if isinstance(tolerances, dict) else ():
        here = float(known.tolerances.get(check, 0.0))
        if not isinstance(value, int | float) or value > here * (1 + SLACK):
            yield (
                f"its contract grants {str(check)[:80]} a deviation of {value!r:.40}, but that of the registered "
                f"{target.target[:200]} grants {here:g}"
            )
    if isinstance(grid, int | float) and grid > (known.grid or 0.0) * (1 + SLACK):
        yield (
            f"its contract has rates on a grid of {grid:g}, but that of the registered {target.target[:200]} "
            + (f"has one of {known.grid:g}" if known.grid else "has none")
        )


@lru_cache(maxsize=512)
def _declared(name: str) -> Contract | None:
    """What the registered implementation of that name declares; None where none is registered, or it cannot be read."""
    import spatial_dropouts

    try:
        found = spatial_dropouts.find(name)
    except ImportError:  # of the zoo
        return None
    if found is None:
        entry = _register().get(name)
        found = entry.implementation if entry is not None else None
    if found is None:
        return None
    # what is no Contract grants nothing
    return found.contract if isinstance(found.contract, Contract) else Contract(Pattern(("n",), ("n",)))


@lru_cache(maxsize=1)
def _register() -> dict[str, Registered]:
    return register()


def _plan(target: TargetResult, profiles: Sequence[str]) -> Iterator[str]:
    """What a plan cannot be: findings that it does not name, checks that there are not, more coins than its cases have."""
    if target.planned is None:
        return
    left = Counter((one.check, one.case) for one in target.findings)
    left.subtract((check, case) for check, cases in target.planned.items() for case in cases)
    extra = next((what for what, count in left.items() if count > 0), None)
    if extra is not None:
        yield f"{extra[0]}, {extra[1][:200]} is not in the plan of {target.target[:200]}"
    for check in target.planned:
        if check not in CHECK:
            yield f"the plan of {target.target[:200]} names {check[:80]!r}, which is no check"
    cases = {text: _case(text) for some in target.planned.values() for text in some}
    most = sum(case.coins for case in cases.values() if case is not None)
    if target.coins > possible.LONGER * most:
        yield f"{target.target[:200]} counts {target.coins:.6g} drop decisions, but the cases of its plan have {most:.6g}"
    for check, some in target.planned.items():
        if profiles and len(set(some)) > max(MOST_CASES[p] for p in profiles) and CHECK[check].judge is not None:
            yield f"the plan of {target.target[:200]} has {len(set(some))} cases of {check}, more than its profile has"


def _finding(
    one: Finding,
    target: TargetResult,
    profiles: Sequence[str],
    strict: bool,
    wanted: float | None,
    done: Recomputed,
    light: bool = False,
) -> Iterator[str]:
    """What does not agree in one finding; counts how it was computed again."""
    check = CHECK.get(one.check)
    if check is not None:
        try:
            said = list(possible.impossible(one, check, _case(one.case), target, profiles, strict))
        except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
            said = [f"its counts cannot be read ({type(error).__name__}: {error})"]
        yield from said
        if said:
            return
        needed = check.coins_are
        if target.planned is not None and not light and one.verdict == "pass" and needed and not one.tallies:
            yield "it passes without the counts that it follows from"
            return
    if check is None or (one.verdict == "skipped" and one.log10_evidence is None and one.estimate is None):
        return
    alpha = one.alpha if one.alpha is not None else _alpha(check, profiles)
    counts = _from_counts(one, alpha)
    if counts is not None:
        done.counted += 1
        yield from counts.said
    failing = counts.failing if counts is not None else _beyond(one, alpha)
    if failing is None:
        return
    if counts is None:
        done.evidence += 1
    yield from _verdict(one, target, failing, alpha)
    if one.verdict == "pass":
        yield from _fine_enough(one, check, profiles, strict, wanted)


def _alpha(check: Check, profiles: Sequence[str]) -> float:
    """The level of a finding that does not state it: its share, or for exact claims all of the target's."""
    if check.share <= 0 or not profiles:
        return ALPHA
    return max(check.limits(p).alpha for p in profiles)


def _beyond(one: Finding, alpha: float) -> bool | None:
    """Whether the stored evidence fails the claim; None where a finding states none."""
    if one.check == "scale.mean" and isinstance(beyond := one.tallies.get("beyond"), list):
        return any(part > 0 for part in beyond)  # of an affine form: of its factor and of its offset
    if one.check == "scale.mean" and one.fail_interval is not None and "accepted" in one.tallies:
        low, high = one.fail_interval
        accepted = float(one.tallies["accepted"])
        return low > accepted or high < -accepted
    if one.log10_evidence is None:
        return None
    return one.log10_evidence <= math.log10(alpha) * (1 - SLACK)


def _verdict(one: Finding, target: TargetResult, failing: bool, alpha: float) -> Iterator[str]:
    """Whether the verdict may stand beside this evidence. A ledger decides by all its runs instead of this one's."""
    told = "by its counts"
    if one.log10_evidence is not None:
        told = f"its evidence is 10^{one.log10_evidence:.1f} at a level of {alpha:.1g}"
    if one.ledger is not None:
        decided = one.ledger.log10_e >= one.ledger.log10_needed
        if decided and one.verdict == "pass" and failing:
            yield "it passes, but the evidence of all runs of its ledger fails it"
        if one.verdict == "fail" and not decided and not failing:
            yield "it fails, but neither this run nor all runs of its ledger have the evidence"
        return
    if one.verdict in ("fail", "waived") and not failing:
        yield f"the verdict is {one.verdict}, but nothing fails: {told}"
    if one.verdict == "waived" and one.waiver is None:
        yield "the verdict is waived, but no waiver is named"
    if failing and one.verdict == "pass":
        yield f"the verdict is pass, but it fails: {told}"
    if failing and one.verdict == "inconclusive" and target.ledger is None:
        yield f"the verdict is inconclusive, but it fails: {told}"
    if failing and one.verdict == "skipped" and not for_another(one.message):
        yield f"it was skipped without a more basic failure, but it fails: {told}"


def _fine_enough(
    one: Finding, check: Check, profiles: Sequence[str], strict: bool, wanted: float | None
) -> Iterator[str]:
    """A pass must have reached the resolution that its profile accepts for its case."""
    if one.resolution is None or not profiles:
        return
    case = _case(one.case)
    if case is None and check.coarsest:
        return
    limits = [check.limits(p, case, strict, wanted) for p in profiles]
    accepted = [x.coarsest for x in limits]
    if any(a is None for a in accepted):
        return
    coarsest = max(a for a in accepted if a is not None)
    if one.check == "rate.marginal" and "tolerated" not in one.tallies:
        return  # a page may leave the counts of passes out
    reached = one.resolution - float(one.tallies.get("tolerated", 0.0))
    if reached > coarsest * (1 + SLACK):
        yield f"the verdict is pass with a detection limit of {reached:.4g}, but {coarsest:.4g} is the largest of a pass"


@lru_cache(maxsize=4096)
def _case(text: str) -> Case | None:
    """The case of a finding; None where it is of an exact check, whose cases are words."""
    try:
        return parse_case(text)
    except UsageError:
        return None


def _resolution(result: Result) -> float | None:
    """The resolution that a command line asked for; without a command line (a library call) any is believed."""
    if not result.argv:
        return math.inf
    found: float | None = None
    for text in asked.values(result.argv, "--resolution"):
        with suppress(ValueError):
            found = max(found or 0.0, float(text))
    return found


# --- from the counts themselves ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Counts:
    failing: bool
    said: tuple[str, ...] = ()


def _from_counts(one: Finding, alpha: float) -> _Counts | None:
    """The decision from the stored counts, where they are all that it is a function of; with what they contradict."""
    kept = one.tallies
    try:
        if one.check == "rate.marginal" and "odd_calls" in kept:
            return _odd_calls(one, kept)
        if one.check == "rate.marginal" and "drops_by_block" in kept:
            return _schedule(one, kept)
        if one.check == "rate.marginal" and "units" not in kept and one.expected is not None:
            return _marginal(one, kept, alpha)
        if one.check == "mask.whole-channels":
            return _none_allowed(one, int(kept["disagreeing"]), int(kept["coins"]))
        if one.check == "scale.kept-values":
            return _none_allowed(one, int(kept["wrong"]), int(kept["kept"]))
    except (KeyError, TypeError, ValueError):
        return None
    return None


def _marginal(one: Finding, kept: Mapping[str, object], alpha: float) -> _Counts:
    dropped, coins, tolerated = int(str(kept["dropped"])), int(str(kept["coins"])), float(str(kept["tolerated"]))
    assert one.expected is not None
    log = max(-99999.0, binomial.log10_outside(dropped, coins, one.expected, tolerated))
    said = []
    if coins and one.estimate is not None and not math.isclose(one.estimate, dropped / coins, rel_tol=1e-9):
        said.append(f"the estimate is {one.estimate:.6g}, but {dropped} of {coins} decisions are {dropped / coins:.6g}")
    stated = one.log10_evidence
    if stated is not None and not math.isclose(stated, log, rel_tol=1e-3, abs_tol=1e-3) and max(stated, log) > FAR:
        said.append(
            f"the evidence is 10^{stated:.2f}, but {dropped} of {coins} decisions at rate {one.expected:g} is 10^{log:.2f}"
        )
    if one.fail_interval is not None and one.alpha is not None:
        low, high = binomial.clopper_pearson(dropped, coins, alpha)
        stored = one.fail_interval
        if max(abs(low - stored[0]), abs(high - stored[1])) > 1e-6:
            given, right = f"{stored[0]:.6g} to {stored[1]:.6g}", f"{low:.6g} to {high:.6g}"
            said.append(f"the interval is {given}, but its counts make it {right}")
    return _Counts(log <= math.log10(alpha) * (1 - SLACK), tuple(said))


def _odd_calls(one: Finding, kept: Mapping[str, object]) -> _Counts:
    """Some calls with a rate of their own: the most extreme of them against the median rate of all."""
    worst, coins, calls = (int(str(kept[name])) for name in ("worst", "coins_per_call", "calls"))
    log = max(-99999.0, odd_log10(worst, coins, float(str(kept["usual_rate"])), calls))
    said = []
    stated = one.log10_evidence
    if stated is None or (not math.isclose(stated, log, rel_tol=1e-3, abs_tol=1e-3) and max(stated, log) > FAR):
        said.append(
            f"the evidence is 10^{stated or 0.0:.2f}, but {worst} of {coins} decisions of one call make it 10^{log:.2f}"
        )
    return _Counts(log <= CERTAIN, tuple(said))


def _schedule(one: Finding, kept: Mapping[str, object]) -> _Counts:
    """A rate that follows the number of calls: the drops of successive blocks of calls."""
    drops, coins = (np.array(kept[name], np.int64) for name in ("drops_by_block", "coins_by_block"))
    log, stated = max(-99999.0, change_log10(drops, coins)), one.log10_evidence
    said = []
    if stated is None or (not math.isclose(stated, log, rel_tol=1e-3, abs_tol=1e-3) and max(stated, log) > FAR):
        said.append(f"the evidence is 10^{stated or 0.0:.2f}, but its blocks of calls make it 10^{log:.2f}")
    return _Counts(log <= CERTAIN, tuple(said))


def _none_allowed(one: Finding, bad: int, n: int) -> _Counts:
    """One event is a failure; a pass says nothing where nothing was asked."""
    said = () if n > 0 or one.verdict != "pass" else ("it passes, but nothing was counted",)
    return _Counts(bad > 0, said)
