"""The drop rate of all decisions together, and of cases of different shapes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.copies import odd_calls
from dropcheck.count.gathered import Gathered
from dropcheck.count.schedules import schedule
from dropcheck.judge.checks.base import Check, Limits, finding, points, settle, skipped
from dropcheck.judge.checks.daily_faults import RATE
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing
from dropcheck.statistics import binomial, homogeneity

# Cases have planned coins for their own rate, far finer than this; what fewer coins cannot tell is no pass.
_COARSEST_SHAPE = 0.25


def _marginal(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.tally, got.case
    n = tally.coins
    if not n:
        return None
    k, p = tally.dropped, case.rate
    tolerated = got.contract.rate_tolerance(p)
    log = binomial.log10_outside(k, n, p, tolerated)
    failed = log <= math.log10(limits.alpha)
    resolution = binomial.resolution(n, p, limits.alpha, limits.beta, tolerated)
    numbers: dict[str, Any] = dict(
        estimate=k / n,
        expected=p,
        unit="probability of a drop",
        fail_interval=binomial.clopper_pearson(k, n, limits.alpha),
        pass_interval=binomial.one_sided(k, n, limits.beta),
        coins=n,
        resolution=resolution,
        log10_evidence=log,
        tallies={"dropped": k, "coins": n, "tolerated": tolerated},
    )
    if (odd := got.once(odd_calls)) is not None:
        # the cause stands first: a few calls with a rate of their own, which the rate over all calls hides
        numbers = {
            **numbers,
            "estimate": odd.rate,
            "unit": "probability of a drop in some calls",
            "fail_interval": None,
            "pass_interval": None,
            "log10_evidence": odd.log10_p,
            "tallies": {
                "odd_calls": len(odd.calls),
                "first_odd_call": int(odd.calls[0]),
                "calls": odd.seen,
                "worst": odd.worst,
                "coins_per_call": odd.coins,
                "usual_rate": odd.usual,
            },
        }
        return finding(check, case, "fail", odd.words, **numbers)
    change = got.once(schedule)
    if change is not None and max(abs(change.first - p), abs(change.last - p)) > tolerated:
        numbers = {
            **numbers,
            "estimate": change.last,
            "unit": "probability of a drop in the last calls",
            "fail_interval": None,
            "pass_interval": None,
            "log10_evidence": change.log10_p,
            "tallies": {
                "calls_of_a_block": change.block,
                "calls": change.calls,
                "drops_by_block": change.drops,
                "coins_by_block": change.coins,
            },
        }
        return finding(check, case, "fail", change.words, **numbers)
    off = k / n - p
    if failed:
        return finding(
            check,
            case,
            "fail",
            f"the layer drops with probability {_beside(k / n, p)}: {points(off)} too {'high' if off > 0 else 'low'}",
            **numbers,
        )
    return finding(
        check,
        case,
        settle(False, resolution - tolerated, limits.coarsest),
        f"the layer drops with probability {k / n:.5g}, expected {p:g}",
        **numbers,
    )


def digits(value: float, other: float) -> str:
    """``value`` with as many digits as show that it is not ``other``, four at least."""
    return differing(value, other, 4).partition(",")[0]


def _beside(value: float, wanted: float) -> str:
    """``0.5047, expected 0.5``."""
    return f"{differing(value, wanted, 5).partition(',')[0]}, expected {wanted:g}"


def _marginal_reach(case: Case, limits: Limits) -> float:
    return binomial.resolution(case.coins, case.rate, limits.alpha, limits.beta)


def _shapes(check: Check, everything: Sequence[Gathered], limits: Limits) -> list[Finding]:
    """Cases of one dtype and rate that differ in shape, layout or gradient recording, each against all others."""
    groups: dict[tuple[str, float], list[Gathered]] = defaultdict(list)
    for got in everything:
        # drops that NaN or wrong values hide cannot be told from what is kept
        readable = not (got.mostly_nonfinite or got.unrecognisable)
        if got.case.regime in ("stream", "seeds") and 0 < got.case.rate < 1 and got.tally.rows and readable:
            groups[(got.case.dtype, got.case.rate)].append(got)
    findings = []
    for (dtype, rate), members in sorted(groups.items()):
        name = f"{dtype} rate={rate:g} over {len(members)} shapes"
        if len(members) < 2:
            continue
        sizes = np.array([m.tally.coins for m in members], np.int64)
        k = np.array([m.tally.dropped for m in members], np.int64)
        total, n = int(k.sum()), int(sizes.sum())
        if not 0 < total < n:
            findings.append(skipped(check, name, "all drop decisions are the same: no shape can differ"))
            continue
        logs = homogeneity.position_log10(k, sizes)
        worst = int(np.argmin(logs))
        log = min(0.0, float(logs[worst]) + math.log10(len(k)))
        failed = log <= math.log10(limits.alpha)
        resolution = max(
            homogeneity.position_resolution(int(s), len(k), total / n, limits.alpha, limits.beta) for s in sizes
        )
        rest = (total - int(k[worst])) / max(1, n - int(sizes[worst]))
        numbers: dict[str, Any] = dict(
            estimate=float(k[worst] / sizes[worst]),
            expected=rest,
            unit="probability of a drop in one case",
            coins=n,
            resolution=resolution,
            log10_evidence=log,
            tallies={"cases": [str(m.case) for m in members], "dropped": k, "coins": sizes},
        )
        if failed:
            findings.append(
                finding(
                    check,
                    name,
                    "fail",
                    f"in the case '{members[worst].case}' the layer drops with probability "
                    f"{digits(k[worst] / sizes[worst], rest)}, in the other cases with {digits(rest, k[worst] / sizes[worst])}",
                    **numbers,
                )
            )
        else:
            findings.append(
                finding(
                    check,
                    name,
                    settle(False, resolution, _COARSEST_SHAPE),
                    f"{len(k)} shapes, layouts and modes have the same drop rate",
                    **numbers,
                )
            )
    return _decided(check, findings)


def _decided(check: Check, findings: list[Finding]) -> list[Finding]:
    """Without verdict where a rate has too few decisions to compare its shapes, and other rates decide: a few short cases."""
    if all(one.verdict in ("inconclusive", "skipped") for one in findings):
        return findings
    return [
        skipped(
            check, one.case, f"too few drop decisions: an error of {one.resolution:.2g} could be missed at this rate"
        )
        if one.verdict == "inconclusive"
        else one
        for one in findings
    ]


def is_ladder(case: Case) -> bool:
    """Whether the case bears on the ladder of rates."""
    return case.regime == "stream" and 0 < case.rate < 1


CHECKS = (
    Check(
        name="rate.marginal",
        role="rate",
        coins_are="coins",
        how="All drops of a case are counted. Their number is compared with the requested rate by the exact binomial law, "
        "two-sided. If the layer declares that it rounds rates to a grid, half a step is allowed. A rate that rises or falls with "
        "the number of calls fails by itself if chance explains it with a probability below 10^-15. The detection limit is the "
        "smallest deviation that is missed with a probability below 10^-6.",
        remedy="Draw the uniform numbers in float32 for every dtype of the input, and compare them with the rate there. "
        "Check that the constructor's argument is the drop probability, not the keep probability (`keep_probability=True` "
        "declares the other). Check the direction: drop where `u < rate`.",
        resolution_words="an error of the drop rate",
        share=0.12,
        coarsest={"quick": 0.0045, "standard": 0.0023, "deep": 0.0005},
        most=0.25,
        wants=lambda case: case.regime in ("stream", "seeds") and 0 < case.rate < 1,
        judge=_marginal,
        observe=at_sizes(RATE),
        reach=_marginal_reach,
    ),
    Check(
        name="rate.per-shape",
        role="rates apart",
        conditional=True,
        how="Each case is compared with all other cases of the same dtype and rate, by the exact hypergeometric law given the "
        "totals. Cases differ in shape, memory layout, gradient recording and switching between modes.",
        remedy="Look for a branch by shape or by layout: sizes that are no multiple of a vector width, batches larger than the "
        "first one, strided inputs, inputs that require a gradient. Use the same comparison with the rate in each branch.",
        resolution_words="a different drop rate of one case",
        share=0.06,
        wants=lambda case: case.regime in ("stream", "seeds") and 0 < case.rate < 1,
        compare=_shapes,
    ),
)
