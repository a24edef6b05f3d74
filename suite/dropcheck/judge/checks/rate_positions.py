"""The drop rate of single positions: channels, batch positions, and places of a row and a channel."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.coins import WORD
from dropcheck.count.gathered import Gathered
from dropcheck.count.single_places import single_places
from dropcheck.judge.checks.base import Check, Limits, finding, points, settle, skipped
from dropcheck.judge.checks.daily_faults import CHANNEL, SAMPLE
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.judge.checks.rate import digits
from dropcheck.results.audit import Finding
from dropcheck.statistics import binomial, homogeneity


def _positions(check: Check, got: Gathered, limits: Limits, k: Any, size: int, word: str) -> Finding:
    """Every position against all others: exact given the totals, so that a wrong overall rate does not fail twice."""
    case = got.case
    sizes = np.full(len(k), size, np.int64)
    total, n = int(k.sum()), int(sizes.sum())
    if not 0 < total < n:
        return skipped(check, case, f"all drop decisions are the same: no {word} can differ")
    logs = homogeneity.position_log10(k, sizes)
    worst = int(np.argmin(logs))
    single = min(0.0, float(logs[worst]) + math.log10(len(k)))
    g, degrees, spread = homogeneity.spread(k, sizes)
    # two tests share the case's alpha: the most extreme position, and all of them slightly off
    log = min(0.0, min(single, float(spread)) + math.log10(2))
    failed = log <= math.log10(limits.alpha)
    p = total / n
    resolution = homogeneity.position_resolution(size, len(k), p, limits.alpha / 2, limits.beta)
    rest = (total - int(k[worst])) / max(1, n - size)
    estimate = float(k[worst]) / size
    numbers: dict[str, Any] = dict(
        estimate=estimate,
        expected=rest,
        unit=f"probability of a drop at one {word}",
        coins=n,
        resolution=resolution,
        log10_evidence=log,
        fail_interval=binomial.clopper_pearson(int(k[worst]), size, limits.alpha / 2 / len(k)),
        tallies={
            "position": worst,
            "positions": len(k),
            "size": size,
            "spread_G": g,
            "degrees": degrees,
            "dropped": k[:1024],
        },
    )
    if failed:
        text = (
            f"{word} {worst} drops with probability {digits(estimate, rest)}, the others with {digits(rest, estimate)}"
            if single <= spread
            else f"the {len(k)} {word}s have different drop rates (G = {g:.4g} with {degrees} degrees of freedom)"
        )
        off = np.flatnonzero(logs + math.log10(2 * len(k)) <= math.log10(limits.alpha))
        if len(off) > 1:
            text += f"; {len(off)} {word}s differ: {', '.join(map(str, off[:8]))}{', ...' if len(off) > 8 else ''}"
        return finding(check, case, "fail", text, **numbers)
    return finding(
        check,
        case,
        settle(False, resolution, limits.coarsest),
        f"all {len(k)} {word}s have the same drop rate; the largest difference is {points(estimate - rest)}",
        **numbers,
    )


def _channel_reach(case: Case, limits: Limits) -> float:
    return homogeneity.position_resolution(case.row_count, case.channels, case.rate, limits.alpha / 2, limits.beta)


def _sample_reach(case: Case, limits: Limits) -> float:
    size = case.calls // WORD * WORD * case.channels
    return homogeneity.position_resolution(size, case.rows, case.rate, limits.alpha / 2, limits.beta)


def _channel(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if got.tally.channels < 2:
        return skipped(check, got.case, "the check needs at least two channels")
    if not got.tally.rows:
        return None
    return _positions(check, got, limits, got.tally.channel, got.tally.rows, "channel")


def _sample(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally = got.tally
    if got.case.rows < 2:
        return skipped(check, got.case, "the check needs at least two samples")
    if not tally.position_calls:
        return None
    found = _positions(
        check, got, limits, tally.position.sum(axis=1), tally.position_calls * tally.channels, "batch position"
    )
    return found if found.verdict == "fail" else _single_places(found, got)


def _single_places(found: Finding, got: Gathered) -> Finding:
    """A failure where places (row, channel) have rates of their own that are even over rows and over channels.

    The even calls say which places of a channel drop above its average; whether these do so in the odd calls as well, which
    are independent of them, is an exact conditional test with channels as strata. It fails only below a chance of 10^-15,
    and takes nothing from the check's share. What calls far apart do not share is a tie: see mask.independent-calls.
    """
    places = got.once(single_places)
    if places is None or not places.lasting:
        return found
    text = (
        "single places (row, channel) have different drop rates. Places above the average of their channel in even calls "
        f"drop with probability {digits(places.above, places.below)} in odd calls, the others with "
        f"{digits(places.below, places.above)}"
    )
    return msgspec.structs.replace(
        found,
        verdict="fail",
        message=text,
        estimate=places.above,
        expected=places.below,
        log10_evidence=max(-99999.0, places.log10_p),
        tallies={"single_places": places.above, "other_places": places.below, "calls": places.calls},
    )


CHECKS = (
    Check(
        name="rate.per-channel",
        role="rates apart",
        conditional=True,
        how="The drops of each channel are compared with those of all other channels by the exact hypergeometric law given the "
        "totals. A Bonferroni correction covers all channels. A second test compares all channels together.",
        remedy="Look at the code that handles the last channels. If the number of channels is no multiple of the vector width, "
        "a kernel often handles them separately. Let one code path draw all channels.",
        resolution_words="a different drop rate of one channel",
        share=0.08,
        coarsest={"quick": 0.12, "standard": 0.05, "deep": 0.01},
        most=0.25,
        wants=lambda case: case.regime == "stream" and 0.01 <= case.rate < 1,
        judge=_channel,
        observe=at_sizes(CHANNEL),
        reach=_channel_reach,
    ),
    Check(
        name="rate.per-sample",
        role="rates apart",
        conditional=True,
        how="The drops of each batch position, summed over the calls, are compared with those of all other positions. The tests "
        "are those of rate.per-channel.",
        remedy="Look at the code that handles the first sample, the last sample, and batches larger than the first one. Size "
        "the mask by x.shape[0] in every call.",
        resolution_words="a different drop rate of one batch position",
        share=0.06,
        coarsest={"quick": 0.15, "standard": 0.06, "deep": 0.015},
        most=0.25,
        wants=lambda case: (
            case.regime == "stream"
            and 0.01 <= case.rate < 1
            and case.rows > 1
            and not case.batches
            and case.calls >= WORD
        ),
        judge=_sample,
        observe=at_sizes(SAMPLE),
        reach=_sample_reach,
    ),
)
