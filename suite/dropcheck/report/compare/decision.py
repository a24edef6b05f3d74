"""From two findings on one case to a word: changed only where their numbers say so, with the error of saying it.

Let theta be the deviation of the layer, the same in both runs (nothing changed). Each rule says "changed" then with a
probability of at most the ``error`` that it returns:

intervals  Both runs store an interval that misses theta with probability alpha (Clopper-Pearson; Hoeffding). Two intervals
           that hold theta have it in common, so they are disjoint with probability at most alpha_1 + alpha_2. The alphas of
           all cases of a run add up to at most 1e-6, so those of two runs to 2e-6, however many cases are compared.
resolution A pass at resolution r has probability at most beta if |theta| >= r. If |theta| < r, the estimate of the other
           run reaches r + REACH r' with probability at most alpha', since a resolution r' spans the critical deviation (at
           alpha') and the spread beyond it (at beta). For both directions: alpha_1 + alpha_2 + 2 beta.
counts     Events that must not happen at all: k of n coins in one run, none of m in the other. Fisher's exact test given
           the total, at LEVEL; coins count, since elements of one coin go together.
exact      Answers without chance, of one question under one root seed: 0. Under other seeds or another number of calls,
           answers that the seeds have a part in (copies of coins, everything about seeds) decide nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dropcheck.contract.cases import parse_case
from dropcheck.contract.errors import UsageError
from dropcheck.judge.checks import CHECKS
from dropcheck.judge.checks.base import ALPHA, BETA
from dropcheck.judge.claims import INTERVALS
from dropcheck.report.compare.records import Change, Word
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import number

LEVEL = 1e-8  # of Fisher's test of one pair of counts
REACH = 1.25  # resolutions; above 1, since the law of an estimate is only nearly symmetric

_COUNTS = {check.name: (check.forbidden[0], check.coins_are) for check in CHECKS if check.zero_events}
_OTHER_SEEDS = "the two runs drew other seeds, and one may have met what the other did not"


@dataclass(frozen=True)
class Told:
    """Whether a change is established; why (not), in words; and the error of the rule that was asked."""

    changed: bool
    why: str
    error: float


def decide(old: Finding, new: Finding, one_draw: bool = True) -> Change:
    """The word for a change from ``old`` to ``new``, both of one check on one case. ``one_draw``: of one root seed,
    and of as many calls."""
    was, now = _state(old), _state(new)
    if was == "none" or now == "none":
        return _unasked(old, new, was, now)
    if was == "open" or now == "open":
        return _open(old, new, was, now)
    if was == now:
        return _moved(old, new, was)
    told = established(*((new, old) if now == "fail" else (old, new)), one_draw=one_draw)
    if not told.changed:
        if now == "fail":
            text = f"fails now, but nothing shows that it passed before: {told.why}"
        else:
            text = f"passes now, but nothing shows that it was fixed: {told.why}"
        return Change(word="unproven", text=text, error=told.error)
    accepted = " (waived)" if "waived" in (old.verdict, new.verdict) else ""
    if now == "fail":
        return Change(word="worse", text=f"passed before, fails now{accepted}: {told.why}", error=told.error)
    return Change(word="better", text=f"failed before{accepted}, passes now: {told.why}", error=told.error)


def _state(one: Finding) -> str:
    if one.verdict in ("fail", "waived"):
        return "fail"
    if one.verdict == "pass":
        return "pass"
    return "none" if one.verdict == "skipped" else "open"


def _unasked(old: Finding, new: Finding, was: str, now: str) -> Change:
    if was == now:
        return Change(word="same", text="")
    if was == "none":
        return Change(word="appeared", text=f"{_verdict(new)} now; before: {old.message}")
    return Change(word="disappeared", text=f"{_verdict(old)} before; now: {new.message}")


def _open(old: Finding, new: Finding, was: str, now: str) -> Change:
    if was == now:
        return Change(word="unproven", text=f"undecided in both: {new.message}")
    if now == "open":
        return Change(word="lost", text=f"{_verdict(old)} before; now {_why_open(new, old)}")
    if now == "pass":
        return Change(word="gained", text=f"passes now; before {_why_open(old, new)}")
    return Change(word="unproven", text=f"fails now; before {_why_open(old, new)}, so it may have been so")


def _why_open(one: Finding, other: Finding) -> str:
    if one.verdict == "inconclusive" and one.resolution is not None:
        beside = f", where the other run has {number(other.resolution)}" if other.resolution is not None else ""
        return f"undecided, at a resolution of {number(one.resolution)}{beside}"
    return f"{one.verdict}: {one.message}"


def _verdict(one: Finding) -> str:
    return {"pass": "passes", "fail": "fails", "waived": "fails (waived)"}.get(one.verdict, one.verdict)


def _moved(old: Finding, new: Finding, state: str) -> Change:
    """One verdict in both: still, their intervals may be apart."""
    if old.check not in INTERVALS or old.fail_interval is None or new.fail_interval is None:
        return Change(word="same", text="")
    told = _intervals(old, new)
    if not told.changed:
        return Change(word="same", text="", error=told.error)
    word: Word = "moved"
    if state == "fail":
        before, after = _distance(old), _distance(new)
        if after[0] > before[1]:
            word = "worse"
        elif after[1] < before[0]:
            word = "better"
    text = {"worse": "fails by more than before", "better": "fails by less than before"}.get(word, "another value")
    return Change(word=word, text=f"{text}: {told.why}", error=told.error)


def _distance(one: Finding) -> tuple[float, float]:
    """The least and the largest deviation in the interval."""
    assert one.fail_interval is not None
    low, high = (x - (one.expected or 0.0) for x in one.fail_interval)
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return least, max(abs(low), abs(high))


def established(failing: Finding, passing: Finding, one_draw: bool = True) -> Told:
    """Whether a failure and a pass of one question show that the layer changed."""
    if failing.check in INTERVALS and failing.fail_interval is not None and passing.fail_interval is not None:
        return _intervals(passing, failing)
    if failing.check in _COUNTS and (told := _counts(failing, passing)) is not None:
        return told
    family = failing.check.split(".", 1)[0]
    if not one_draw and family == "seed":
        return Told(False, _OTHER_SEEDS, 0.0)
    sized = failing.estimate is not None and failing.resolution is not None and passing.resolution is not None
    if sized and not failing.unit.startswith(("words of coins", "stretches")) and failing.check not in _COUNTS:
        return _resolutions(failing, passing)
    if not one_draw and family == "mask":
        return Told(False, _OTHER_SEEDS, 0.0)
    return Told(True, failing.message, 0.0)


def error_of(old: Finding, new: Finding) -> float:
    """The most that comparing these two can err if nothing changed, whatever their verdicts turn out to be."""
    alphas = _alpha(old) + _alpha(new)
    if old.check in INTERVALS and old.fail_interval is not None and new.fail_interval is not None:
        return alphas
    if old.check in _COUNTS:
        return LEVEL
    if old.resolution is not None and new.resolution is not None:
        return alphas + 2 * BETA
    return 0.0


def _alpha(one: Finding) -> float:
    """The level of a finding; 1e-8, what a case of scale.mean owns at most, where it states none."""
    return one.alpha if one.alpha is not None else ALPHA / 100


def _intervals(one: Finding, two: Finding) -> Told:
    assert one.fail_interval is not None and two.fail_interval is not None
    apart = one.fail_interval[1] < two.fail_interval[0] or two.fail_interval[1] < one.fail_interval[0]
    shown = f"{_span(one)} and {_span(two)} {'do not meet' if apart else 'overlap'}"
    return Told(apart, shown, _alpha(one) + _alpha(two))


def _span(one: Finding) -> str:
    assert one.fail_interval is not None
    low, high = one.fail_interval
    return f"{_digits(low)} to {_digits(high)}"


def _digits(value: float) -> str:
    return f"{value:.6g}"


def _resolutions(failing: Finding, passing: Finding) -> Told:
    assert failing.estimate is not None and failing.resolution is not None and passing.resolution is not None
    off = abs(failing.estimate - (failing.expected or 0.0))
    needed = passing.resolution + REACH * failing.resolution
    changed = off >= needed
    why = f"a deviation of {number(off)} beside a pass at a resolution of {number(passing.resolution)}"
    if not changed:
        why += f", which does not exclude it (it would take {number(needed)})"
    return Told(changed, why, _alpha(failing) + BETA)


def _counts(failing: Finding, passing: Finding) -> Told | None:
    bad, total = _COUNTS[failing.check]
    try:
        k, n, m = int(failing.tallies[bad]), int(failing.tallies[total]), int(passing.tallies[total])
        if failing.check == "rate.one" and "elements" not in failing.tallies:  # older results count these apart
            k += int(failing.tallies.get("nonfinite", 0))
    except (KeyError, TypeError, ValueError):
        return None
    # kept values are counted by element; those of one coin go together, so that only coins are independent
    k = min(n, math.ceil(k / _elements(failing)))
    if k < 1:
        return None
    # all k events fell on the n of this run, none on the m of the other: C(n, k) / C(n + m, k)
    log = _log_choose(n, k) - _log_choose(n + m, k)
    changed = log <= math.log(LEVEL)
    why = f"{k:,} of {n:,} beside none of {m:,}"
    if not changed:
        why += f", which chance does once in {math.exp(-log):,.0f} times without a change"
    return Told(changed, why, LEVEL)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _elements(one: Finding) -> int:
    """Elements that share a coin in the case of a finding that counts elements."""
    if one.check != "scale.kept-values":
        return 1
    try:
        return max(1, parse_case(one.case).shared)
    except UsageError:
        return 1
