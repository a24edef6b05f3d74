"""What the numbers of a finding can be at all: bounds that follow from its check, its case, its contract and its counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.contract.promise import Contract, ContractError
from dropcheck.count.repeated_stretches import CERTAIN
from dropcheck.count.repeated_words import least_extent
from dropcheck.judge.checks.base import BETA, Check
from dropcheck.judge.checks.daily_sizes import OF_DAILY_USE
from dropcheck.judge.levels import STRICTER
from dropcheck.results.audit import Finding, TargetResult
from dropcheck.statistics import binomial, homogeneity
from dropcheck.worker.server import rounding

SLACK = 1e-4  # relative: a page keeps six digits of what passes, and releases of SciPy round differently
MOST_EXACT = 1 << 32  # coins of an exact question; the largest today ask 3e5
LONGER = 8  # a case that ends when the rate is decided may take so many times its planned coins


def judged(one: Finding) -> bool:
    """Whether a finding states numbers that decide something."""
    return one.verdict in ("pass", "fail", "waived", "inconclusive")


def impossible(
    one: Finding, check: Check, case: Case | None, target: TargetResult, profiles: Sequence[str], strict: bool
) -> Iterator[str]:
    """Why the numbers of a finding cannot be what an audit wrote, a sentence each."""
    bad = [name for name, value in _numbers(one) if not math.isfinite(value)]
    if bad:
        yield f"its {bad[0]} is no finite number"
        return
    if one.coins < 0 or (one.resolution or 0.0) < 0:
        yield "its number of drop decisions or its detection limit is below 0"
        return
    if (one.log10_evidence or 0.0) > 1e-9:
        yield f"its evidence is 10^{one.log10_evidence:.3g}, which is above 10^0"
    if one.fail_interval is not None and not one.fail_interval[0] <= one.fail_interval[1]:
        yield "its interval ends before it begins"
    if one.level is not None and not _may_be_a_trait(one, target, strict):
        yield f"it states the level {one.level!r}, but it fails without --strict, too"
    if not judged(one):
        return
    if one.verdict == "pass" and one.case.endswith(OF_DAILY_USE):
        yield from _exact(one)
    yield from _level(one, check, case, profiles)
    yield from _counts(one, check, target)
    yield from _coins(one, check, case)
    if one.verdict == "pass" and one.resolution is not None:
        yield from _resolution(one, check, case, profiles, strict)
    if one.check == "scale.mean":
        yield from _mean(one, target, profiles, check, strict)
    if one.check == "rate.marginal" and case is not None:
        yield from _tolerance(one, case, target)


def _may_be_a_trait(one: Finding, target: TargetResult, strict: bool) -> bool:
    """Whether a level that a result states is one that its check gives under --strict."""
    promised = target.contract.get("promises") or ()
    return (
        strict
        and one.level == "trait"
        and one.check in STRICTER
        and one.verdict in ("fail", "waived", "skipped")
        and not (one.check == "form.nonfinite" and "nonfinite" in promised)
    )


def _exact(one: Finding) -> Iterator[str]:
    """Sizes and inputs of daily use are asked exactly, in few coins: what holds there has counts of what was asked, no more."""
    more = [name for name, _ in _numbers(one)]
    if more:
        yield f"it says {more[0]}, but its question is an exact one"
    foreign = sorted(set(one.tallies) - {"sizes", "rates", "kinds"})
    if foreign or not one.tallies:
        yield (
            f"it counts {foreign[0][:40]}, but its question is an exact one"
            if foreign
            else "it does not say what was asked"
        )


def _numbers(one: Finding) -> Iterator[tuple[str, float]]:
    for name in ("estimate", "expected", "resolution", "log10_evidence", "alpha"):
        value = getattr(one, name)
        if value is not None:
            yield name, value
    for name in ("fail_interval", "pass_interval"):
        for value in getattr(one, name) or ():
            yield name, value


def _level(one: Finding, check: Check, case: Case | None, profiles: Sequence[str]) -> Iterator[str]:
    if one.alpha is None or not profiles:
        return
    shares = [check.limits(p, case).alpha for p in profiles]
    if not any(math.isclose(one.alpha, share, rel_tol=SLACK) for share in shares):
        yield f"its alpha is {one.alpha:.4g}, but the share of {check.name} in this profile is {max(shares):.4g}"


def _coins(one: Finding, check: Check, case: Case | None) -> Iterator[str]:
    if case is not None:
        most = case.coins * (LONGER if "units" in one.tallies else 1)
    elif isinstance(some := one.tallies.get("coins"), list):
        most = sum(int(n) for n in some)
    else:
        most = MOST_EXACT
    if one.coins > most:
        yield f"it counts {one.coins:.6g} drop decisions, but its case has {most:.6g}"
    name = check.coins_are
    if one.coins and name and name in one.tallies and one.coins != one.tallies[name]:
        yield f"it counts {one.coins} drop decisions, but its counts are of {one.tallies[name]}"


def _counts(one: Finding, check: Check, target: TargetResult) -> Iterator[str]:
    kept = one.tallies
    events = [(name, kept[name]) for name in check.forbidden if kept.get(name)]
    if events and one.verdict == "pass":
        yield f"the verdict is pass, but it fails: {events[0][0]} is {events[0][1]}"
    if check.words and "repeats" in kept and one.log10_evidence is not None:
        chance = min(0.0, float(kept.get("log10_chance") or 0.0)) if kept["repeats"] else 0.0
        if not _same(chance, one.log10_evidence):
            yield f"the evidence is 10^{one.log10_evidence:.2f}, but its counts make it 10^{chance:.2f}"
    if check.words and kept.get("offset_extent") is not None:
        words, some, coins = (int(kept[name]) for name in ("offsets", "offset_words", "offset_coins"))
        extent = least_extent(words, some, coins, BETA)
        if not 0 < some <= words or not math.isclose(extent, kept["offset_extent"], rel_tol=SLACK):
            yield f"it detects {kept['offset_extent']} repeated decisions, but its counts make it {extent}"
        if float(kept["offset_log10_chance"]) > CERTAIN:
            yield f"words at any offset repeat by chance with probability 10^{kept['offset_log10_chance']:.1f}"
    if one.check in ("rate.per-channel", "rate.per-sample"):
        yield from _positions(one)
    if one.check == "rate.per-shape" and isinstance(kept.get("coins"), list):
        sizes = np.array(kept["coins"], np.int64)
        log = _position_log10(np.array(kept["dropped"], np.int64), sizes)
        yield from _evidence(one, log)


def _positions(one: Finding) -> Iterator[str]:
    kept = one.tallies
    if "dropped" not in kept:
        return
    dropped, size, places = np.array(kept["dropped"], np.int64), int(kept["size"]), int(kept["positions"])
    if places != len(dropped):
        return  # of many positions the first ones are stored
    sizes = np.full(places, size, np.int64)
    if one.coins != places * size:
        yield f"it counts {one.coins} drop decisions, but {places} positions of {size} are {places * size}"
    spread = float(homogeneity.spread(dropped, sizes)[2])
    yield from _evidence(one, min(0.0, min(_position_log10(dropped, sizes), spread) + math.log10(2)))


def _position_log10(dropped: Any, sizes: Any) -> float:
    """log10 of the most extreme position, Bonferroni over positions."""
    return min(0.0, float(np.min(homogeneity.position_log10(dropped, sizes))) + math.log10(len(dropped)))


def _evidence(one: Finding, log: float) -> Iterator[str]:
    if one.log10_evidence is not None and not _same(log, one.log10_evidence):
        yield f"the evidence is 10^{one.log10_evidence:.2f}, but its counts make it 10^{log:.2f}"


def _same(one: float, other: float) -> bool:
    """Whether two log10 probabilities agree; far tails may be bounds of each other."""
    return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-3) or max(one, other) < -250


def _resolution(one: Finding, check: Check, case: Case | None, profiles: Sequence[str], strict: bool) -> Iterator[str]:
    """A pass cannot say that it resolves more than its coins can."""
    assert one.resolution is not None
    least = 0.0
    if check.zero_events:
        least = binomial.zero_tolerance_resolution(one.coins, BETA)
    elif check.words:
        least = 1.0
    elif case is not None and profiles:
        least = check.least_share * min(
            _reach(check.name, check.reach, case, p, check.limits(p, case).alpha) for p in profiles
        )
    elif isinstance(sizes := one.tallies.get("coins"), list) and profiles:
        p = sum(one.tallies["dropped"]) / max(1, sum(sizes))
        alpha = max(check.limits(name).alpha for name in profiles)
        if 0 < p < 1:
            least = max(homogeneity.position_resolution(int(n), len(sizes), p, alpha, BETA) for n in sizes)
    if math.isfinite(least) and one.resolution < least * (1 - SLACK):
        yield f"it passes with a detection limit of {one.resolution:.4g}, but its counts allow no less than {least:.4g}"


@lru_cache(maxsize=65536)
def _reach(name: str, reach: Callable[..., float] | None, case: Case, profile: str, alpha: float) -> float:
    from dropcheck.judge.checks.base import Limits

    if reach is None:
        return 0.0
    found = reach(case, Limits(alpha))
    return found if math.isfinite(found) else 0.0


def _mean(one: Finding, target: TargetResult, profiles: Sequence[str], check: Check, strict: bool) -> Iterator[str]:
    """The interval of the mean is Hoeffding's, a function of the number of values; what is accepted follows from the scale."""
    kept, scale = one.tallies, target.contract.get("scale")
    if one.fail_interval is None or "mean" not in kept or not isinstance(kept.get("accepted"), float) or not profiles:
        return
    dtype, _, rate = one.case.partition(" rate=")
    try:
        u, share = rounding.unit_roundoff(dtype), float(rate)
        bound = float(rounding.relative_bound(share, scale, dtype)) if scale is not None else math.inf
        if scale == "realised":
            bound = rounding.realised_bound(int(kept["values"]), dtype)
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return
    m, half = int(kept["values"]), (one.fail_interval[1] - one.fail_interval[0]) / 2
    alpha = max(check.limits(p).alpha for p in profiles)
    margin = 2 * u * math.sqrt(math.log(2 / alpha) / (2 * max(1, m)))
    digits = 2e-6 * max(map(abs, one.fail_interval))  # a large mean leaves few digits to its interval
    if not math.isclose(half, margin, rel_tol=1e-3, abs_tol=digits):
        yield f"its interval is {half:.4g} to each side, but {m} values make it {margin:.4g}"
    if kept["accepted"] > max(bound, u / 4) * (1 + SLACK):
        yield f"it accepts a deviation of {kept['accepted']:.4g}, but a right layer in {dtype} shows at most {bound:.4g}"
    if one.level is not None and abs(kept["mean"]) - half > bound * (1 + SLACK):
        yield f"it states the level {one.level!r}, but its mean is beyond the {bound:.4g} that a right layer shows"
    if one.estimate is not None and not math.isclose(one.estimate, kept["mean"], rel_tol=1e-5, abs_tol=1e-300):
        yield f"the estimate is {one.estimate:.6g}, but its counts make it {kept['mean']:.6g}"
    if one.resolution is not None and one.resolution < (half + kept["accepted"]) * (1 - SLACK):
        yield f"its detection limit is {one.resolution:.4g}, but its interval and tolerance make it {half + kept['accepted']:.4g}"


def _tolerance(one: Finding, case: Case, target: TargetResult) -> Iterator[str]:
    """The rate that was asked for is that of the case, and what was tolerated is what the contract grants."""
    if one.expected is not None and not math.isclose(one.expected, case.rate, rel_tol=1e-5):
        yield f"it expects the rate {one.expected:.6g}, but its case asks for {case.rate:.6g}"
    granted = granted_by(target)
    if granted is None or "tolerated" not in one.tallies:
        return
    right = granted.rate_tolerance(case.rate)
    if not math.isclose(float(one.tallies["tolerated"]), right, rel_tol=1e-6, abs_tol=1e-12):
        yield f"it tolerates {one.tallies['tolerated']:.4g}, but the contract grants {right:.4g}"
    if one.verdict == "pass" and one.resolution is not None and one.alpha and "units" not in one.tallies:
        least = binomial.resolution(int(one.tallies["coins"]), case.rate, one.alpha, BETA, right)
        if math.isfinite(least) and one.resolution < least * (1 - 1e-3):
            yield f"it passes with a detection limit of {one.resolution:.4g}, but its counts allow no less than {least:.4g}"


def granted_by(target: TargetResult) -> Contract | None:
    """The contract of a target, where the result holds a whole one."""
    try:
        return Contract.from_dict(target.contract)
    except (KeyError, TypeError, ValueError, ContractError):
        return None
