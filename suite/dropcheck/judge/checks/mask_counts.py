"""The number of dropped channels of a sample varies as that of independent channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.copies import CERTAIN
from dropcheck.count.gathered import Gathered
from dropcheck.judge.checks.base import Check, Limits, finding, pearson, settle, skipped
from dropcheck.judge.checks.daily_faults import COUNT
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.judge.checks.mask_ties import dependence_case, first_rows, no_spread, rates_of
from dropcheck.results.audit import Finding, Statistic
from dropcheck.results.plain_text import differing
from dropcheck.statistics import dispersion, goodness


def _count(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.live, got.case
    if tally.channels < 2:
        return skipped(check, case, "the check needs at least two channels")
    if not tally.rows:
        return None
    if (early := no_spread(check, got)) is not None:
        return early
    p = rates_of(tally)
    low, high, ratio = dispersion.log10_dispersion(tally.histogram, p)
    g, degrees, law = dispersion.log10_count_law(tally.histogram, p)
    expected = dispersion.poisson_binomial(p) * tally.rows
    chi, chi_degrees, chi_p = goodness.pearson(tally.histogram, expected)
    # three tests share the case's alpha: both tails of the dispersion, and the law as a whole; rows that fall alike take
    # nothing of it, since they are beyond chance only where this has a probability below 10^-15
    extreme, alike, everything = dispersion.log10_extremes(tally.histogram, p)
    certain = extreme <= CERTAIN
    log = min(0.0, min(low, high, law) + math.log10(3), extreme if certain else 0.0)
    failed = log <= math.log10(limits.alpha)
    resolution = dispersion.dispersion_resolution(tally.rows, p, limits.alpha / 3, limits.beta)
    mean_correlation = (ratio - 1) / max(1, tally.channels - 1)
    statistics: list[Statistic] = [
        pearson("Pearson chi-square of the dropped count", chi, chi_degrees, chi_p),
        Statistic(name="G of the dropped count", value=float(g), degrees=int(degrees)),
    ]
    numbers: dict[str, Any] = dict(
        estimate=mean_correlation,
        expected=0.0,
        unit="mean correlation of channels",
        coins=tally.coins,
        resolution=resolution,
        log10_evidence=log,
        statistics=statistics,
        tallies={
            "histogram": _trim(tally.histogram),
            "expected": _trim(np.round(expected, 2)),
            "variance_ratio": ratio,
        },
    )
    if certain:
        likely = expected[-1 if everything else 0]
        what = "drop all their channels" if everything else "keep all their channels"
        text = f"{alike} of {tally.rows} samples {what}, expected {likely:.3g}"
        return finding(check, case, "fail", text, picture=first_rows(got), **numbers)
    if failed:
        how = "varies too much" if high <= low else "varies too little"
        if law < min(low, high):
            how = "has the wrong distribution"
        return finding(
            check,
            case,
            "fail",
            f"the number of dropped channels per sample {how}: its variance is {differing(ratio, 1.0, 4).partition(',')[0]} "
            f"times that of independent channels, expected 1 (mean correlation {mean_correlation:+.4f})",
            picture=first_rows(got),
            **numbers,
        )
    return finding(
        check,
        case,
        settle(False, resolution, limits.coarsest),
        f"the number of dropped channels per sample varies as expected: {ratio:.4f} times the variance of independent channels",
        **numbers,
    )


def _trim(values: Any) -> list[float]:
    """A histogram without its empty end."""
    flat = np.asarray(values)
    last = int(np.max(np.flatnonzero(flat), initial=0)) + 1
    return [float(v) for v in flat[: min(last, 600)]]


def _count_reach(case: Case, limits: Limits) -> float:
    if case.channels < 2:
        return 0.0
    law = np.full(case.channels, case.rate)
    return dispersion.dispersion_resolution(case.row_count, law, limits.alpha / 3, limits.beta)


CHECKS = (
    Check(
        name="mask.dropped-count",
        role="ties",
        how="With independent channels of the measured rates, the number of dropped channels per sample is Poisson-binomial. Its "
        "variance is tested in both directions by a Chernoff bound, and its histogram by G with a safety factor. The numbers "
        "of samples that keep or drop all channels are tested by exact binomial tails, below 10^-15. Pearson's chi-square is "
        "printed, too.",
        remedy="Decide each channel independently: torch.rand(n, c, 1) < rate. Do not choose a fixed number of channels "
        "(randperm, topk), and do not add a random number that all channels of a sample share.",
        resolution_words="a mean correlation between all channels",
        share=0.06,
        coarsest={"quick": 0.02, "standard": 0.01, "deep": 0.002},
        most=0.5,
        wants=dependence_case,
        judge=_count,
        observe=at_sizes(COUNT),
        reach=_count_reach,
    ),
)
