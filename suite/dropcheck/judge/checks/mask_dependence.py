"""Drop decisions of any two channels are independent of each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.gathered import Gathered
from dropcheck.count.tallies import (
    ALL_PAIRS_UP_TO,
    FAR_PAIRS_UP_TO,
    Tally,
    pair_strides,
)
from dropcheck.judge.checks.base import Check, Limits, finding, settle, skipped
from dropcheck.judge.checks.mask_ties import (
    CONDITIONAL,
    dependence_case,
    end_to_end,
    first_rows,
    no_spread,
    pooled_rate,
    rows_thinned,
)
from dropcheck.results.audit import Finding
from dropcheck.statistics import association


@dataclass(frozen=True)
class _Worst:
    """The pair of channels, or all pairs of one stride (``first`` is 0), that depend most; log10_p is 0 where none does."""

    log10_p: float = 0.0
    first: int = 0
    stride: int = 1
    rho: float = 0.0

    @property
    def pair(self) -> tuple[int, int]:
        return self.first, self.first + self.stride


def _worst_pair(groups: Sequence[Any], tables: Sequence[Any]) -> _Worst:
    """The pair of channels that depends most."""
    *joined, starts = end_to_end(tables)
    logs = association.association_many(*joined)
    at = int(np.argmin(logs))
    if logs[at] >= 0:
        return _Worst()
    which = int(np.searchsorted(starts, at, side="right")) - 1
    rho = association.correlation(*(x[at : at + 1] for x in joined))
    return _Worst(float(logs[at]), at - int(starts[which]), groups[which][0], rho)


def _channels(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.live, got.case
    if tally.channels < 2:
        return skipped(check, case, "the check needs at least two channels")
    if not tally.pair_rows:
        return None
    if (early := no_spread(check, got)) is not None:
        return early
    log_alpha = math.log10(limits.alpha / 2)  # half for single pairs, half for whole strides
    tests = sum(len(b) for b in tally.pairs.values()) + len(tally.far)
    n = tally.pair_rows
    groups = [(s, both, tally.channel, n) for s, both in tally.pairs.items()]
    if tally.far_rows:
        groups += [(s, tally.far_of(s), tally.far_channel, tally.far_rows) for s in range(1, tally.channels)]
    tables = [(np.full(len(both), rows), m[:-s], m[s:], both) for s, both, m, rows in groups]
    worst = _worst_pair(groups, tables)
    # disjoint pairs of one stride, pooled: small correlations shared by all pairs at this distance
    pooled = [
        tuple(x[(np.arange(len(x)) // s) % 2 == 0] for x in table)
        for (s, *_), table in zip(groups, tables, strict=True)
    ]
    logs = association.log10_two_sided_groups(*end_to_end(pooled))
    i = int(np.argmin(logs))
    of_stride = _Worst(stride=0)
    if logs[i] < 0:
        of_stride = _Worst(float(logs[i]), 0, groups[i][0], association.correlation(*pooled[i]))
    lags = {
        str(s): round(association.correlation(*pooled[k]), 6)
        for k, (s, _, margin, _) in enumerate(groups)
        if s in (1, 2, 4, 8, 16) and margin is tally.channel
    }
    pair_log = worst.log10_p + math.log10(tests)
    stride_log = of_stride.log10_p + math.log10(len(groups))
    failed = pair_log <= log_alpha or stride_log <= log_alpha
    # of any pair: above ALL_PAIRS_UP_TO channels, on the thinned rows where all pairs are counted
    fewest = tally.far_rows or n
    by_pair = pair_log <= stride_log
    resolution = association.correlation_resolution(fewest, pooled_rate(tally), limits.alpha / 2 / tests, limits.beta)
    numbers: dict[str, Any] = dict(
        estimate=worst.rho if by_pair else of_stride.rho,
        expected=0.0,
        unit="correlation",
        coins=n * tally.channels,
        resolution=resolution,
        # twice the smaller of the two, each corrected for its own tests: a valid p-value of the check
        log10_evidence=min(0.0, min(pair_log, stride_log) + math.log10(2)),
        tallies={"rows": n, "pairs": tests, "worst_pair": list(worst.pair), "stride_correlation": lags},
    )
    if failed:
        what = (
            f"the masks of channels {worst.pair[0]} and {worst.pair[1]} have correlation {worst.rho:+.3f}, expected 0"
            if by_pair
            else f"the masks of channels {of_stride.stride} apart have correlation {of_stride.rho:+.4f} on average, expected 0"
        )
        numbers["tallies"]["matrix"] = _matrix(
            tally, worst.first if by_pair else 0, worst.stride if by_pair else of_stride.stride
        )
        return finding(check, case, "fail", what, picture=first_rows(got), **numbers)
    return finding(
        check,
        case,
        settle(False, resolution, limits.coarsest),
        f"the masks of {tests} pairs of channels are independent; the largest correlation is "
        + (
            f"{worst.rho:+.3f}, of channels {worst.pair[0]} and {worst.pair[1]}"
            if by_pair
            else f"{of_stride.rho:+.4f} on average, of channels {of_stride.stride} apart"
        ),
        **numbers,
    )


def _matrix(tally: Tally, first: int, stride: int, most: int = 12) -> dict[str, Any] | None:
    """Correlations of the pairs around the worst one, for a figure: neighbours, or channels a long stride apart.

    None where some of these pairs were not counted.
    """
    step = 1 if stride < most else stride
    begin = first % step if step > 1 else max(0, min(first - (most - 1 - stride) // 2, tally.channels - most))
    chosen = list(range(begin, tally.channels, step))
    at = max(0, min(chosen.index(first) - 1, len(chosen) - most)) if first in chosen else 0
    chosen = chosen[at : at + most]
    table = []
    for i, high in enumerate(chosen):
        if any(high - low not in tally.pairs for low in chosen[:i]):
            return None
        table.append(
            [
                round(
                    association.correlation(
                        _one(tally.pair_rows),
                        tally.channel[low : low + 1],
                        tally.channel[high : high + 1],
                        tally.pairs[high - low][low : low + 1],
                    ),
                    3,
                )
                for low in chosen[:i]
            ]
        )
    return {"channels": chosen, "correlation": table}


def _one(n: int) -> Any:
    return np.array([n])


def _pair_count(channels: int) -> int:
    """Pairs of channels that a tally tests."""
    near = sum(channels - s for s in pair_strides(channels))
    far = ALL_PAIRS_UP_TO < channels <= FAR_PAIRS_UP_TO
    return near + (channels * (channels - 1) // 2 if far else 0)


def _channels_reach(case: Case, limits: Limits) -> float:
    if case.channels < 2:
        return 0.0  # skipped with its reason
    far = ALL_PAIRS_UP_TO < case.channels <= FAR_PAIRS_UP_TO
    rows = rows_thinned(case) if far else case.row_count
    return association.correlation_resolution(
        rows, case.rate, limits.alpha / 2 / _pair_count(case.channels), limits.beta
    )


CHECKS = (
    Check(
        name="mask.independent-channels",
        role="ties",
        conditional=True,
        how=f"{CONDITIONAL}. Every pair of channels is tested, with a Bonferroni correction. Disjoint pairs at each distance "
        "(neighbours, widths of vectors) are also tested together, by an exact Cochran-Mantel-Haenszel test.",
        remedy="Draw the numbers of all channels from one generator call: torch.rand(n, c, 1). If a kernel has a generator per "
        "lane or per channel, give each a different Philox counter. Do not use channel + constant as a seed.",
        resolution_words="a correlation between two channels",
        share=0.06,
        coarsest={"quick": 0.25, "standard": 0.1, "deep": 0.02},
        most=0.5,
        wants=dependence_case,
        judge=_channels,
        reach=_channels_reach,
    ),
)
