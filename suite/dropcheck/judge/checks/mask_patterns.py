"""Groups of three, four and eight channels have the joint patterns of independent channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.adding_up import channels_that_add_up
from dropcheck.count.copies import CERTAIN
from dropcheck.count.gathered import Gathered
from dropcheck.count.tallies import (
    Tally,
    group_starts,
    group_strides,
)
from dropcheck.judge.checks.base import Check, Limits, finding, pearson, settle, skipped
from dropcheck.judge.checks.mask_ties import dependence_case, first_rows, no_spread, rates_of, rows_thinned
from dropcheck.results.audit import Finding, Statistic
from dropcheck.statistics import goodness


def _patterns(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.live, got.case
    if tally.channels < 3:
        return skipped(check, case, "the check needs at least three channels")
    if not tally.pair_rows:
        return None
    if (early := no_spread(check, got)) is not None:
        return early
    p, n = rates_of(tally), tally.pair_rows
    tests = _Tests()
    kinds: list[_Test] = []
    for stride, counts in tally.quads.items():
        starts = group_starts(tally.channels, stride, 4)
        kinds += _collect(tests, f"four channels {stride} apart", counts, p, starts, starts, stride, n)
    for stride, counts in tally.octets.items():
        starts = group_starts(tally.channels, stride, 8)
        rows_there = tally.octet_rows[stride]
        kinds += _collect(tests, f"eight channels {stride} apart", counts, p, starts, starts, stride, rows_there)
    for stride in tally.triples:
        counts = _triple_patterns(tally, stride)
        starts = group_starts(tally.channels, stride, 3)
        every = np.arange(len(counts))
        kinds += _collect(tests, f"three channels {stride} apart", counts, p, every, starts, stride, n)
    if not tests.count:
        return None
    log, name, g, degrees, rows = min(tests.strongest)
    total = min(0.0, log + math.log10(tests.count))
    failed = total <= math.log10(limits.alpha)
    # of the kind of groups (so many channels so far apart, all such groups alike) that shows least; Cohen's
    # w = sqrt(noncentrality / n)
    resolution = max(
        # the rates of the group's channels come from the same coins: log2 of the cells, where none were merged
        goodness.g_resolution(
            int(k[4]), k[3] + 1, limits.alpha / tests.count, limits.beta, math.ceil(math.log2(k[3] + 1))
        )
        for k in kinds
    )
    numbers: dict[str, Any] = dict(
        estimate=math.sqrt(max(0.0, g - degrees) / max(1.0, rows)),
        expected=0.0,
        unit="effect size w of patterns",
        coins=tally.pair_rows * tally.channels,
        resolution=resolution,
        log10_evidence=total,
        statistics=[Statistic(name=f"G of the patterns of {name}", value=float(g), degrees=int(degrees))],
        tallies={"tests": tests.count, "strongest": name, "rows": int(rows)},
    )
    if 1 in tally.octets:
        law = goodness.product_laws(p[: 8 * len(tally.octets[1])].reshape(-1, 8)).sum(axis=0) * tally.octet_rows[1]
        chi = goodness.pearson(tally.octets[1].sum(axis=0), law)
        numbers["statistics"].append(pearson("Pearson chi-square of eight adjacent channels, pooled", *chi))
    if failed:
        return finding(
            check,
            case,
            "fail",
            f"groups of channels depend on each other: {name} do not have the joint patterns of independent channels (G = "
            f"{g:.4g}, expected about {degrees})",
            picture=first_rows(got),
            **numbers,
        )
    tied = got.once(channels_that_add_up)
    if tied[0] <= CERTAIN:
        numbers.update(estimate=None, log10_evidence=tied[0])
        return finding(check, case, "fail", tied[1], picture=first_rows(got), **numbers)
    return finding(
        check,
        case,
        settle(False, resolution, limits.coarsest),
        f"{tests.count} groups of three, four and eight channels have the joint patterns of independent channels",
        **numbers,
    )


_Test = tuple[float, str, float, int, float]  # log10 p, name, G, degrees, rows


@dataclass
class _Tests:
    """How many tests there are, and of each kind of groups those that tell most: thousands that tell less need no name."""

    count: int = 0
    strongest: list[_Test] = field(default_factory=list)

    def add(self, one: _Test) -> None:
        self.count += 1
        self.strongest.append(one)


def _collect(
    tests: _Tests, name: str, counts: Any, p: Any, starts: Any, disjoint: Any, stride: int, rows: int
) -> list[_Test]:
    """G of each group, and of all disjoint groups of one kind pooled (they follow the sum of their laws only if each does).

    Returns the test that tells most of the kind: the pooled one, or that of its only group; nothing where rows are too few.
    Triples overlap, so that only those at ``disjoint`` starts are pooled; ``counts`` has one row for each of ``starts``.
    """
    size = int(counts.shape[1]).bit_length() - 1
    expected = goodness.product_laws(p[starts[:, None] + stride * np.arange(size)]) * rows
    values, degrees, logs = goodness.g_many(counts, expected)
    made = np.flatnonzero(degrees)

    def test(i: int) -> _Test:
        return float(logs[i]), f"{name} from channel {starts[i]}", float(values[i]), int(degrees[i]), float(rows)

    tests.count += len(made)
    if len(made):
        tests.strongest += [test(i) for i in made[~(logs[made] > logs[made].min())]]
    if len(disjoint) < 2:
        return [test(i) for i in made[:1]]
    chosen = np.searchsorted(starts, disjoint) if len(disjoint) < len(starts) else slice(None)
    whole, d, pooled = goodness.g_test(counts[chosen].sum(axis=0), expected[chosen].sum(axis=0))
    if not d:
        return []
    pool: _Test = (pooled, f"{name}, all groups pooled", whole, d, float(rows * len(disjoint)))
    tests.add(pool)
    return [pool]


def _triple_patterns(tally: Tally, s: int) -> Any:
    """(channels - 2 s, 8) patterns of channels c, c + s, c + 2 s from single, pair and triple counts."""
    n, single, one, two, three = tally.pair_rows, tally.channel, tally.pairs[s], tally.pairs[2 * s], tally.triples[s]
    a, b, c = single[: -2 * s], single[s:-s], single[2 * s :]
    ab, bc, ac = one[:-s], one[s:], two
    counts = np.zeros((len(three), 8), np.int64)
    counts[:, 7] = three
    counts[:, 3], counts[:, 5], counts[:, 6] = ab - three, ac - three, bc - three
    counts[:, 1] = a - ab - ac + three
    counts[:, 2] = b - ab - bc + three
    counts[:, 4] = c - ac - bc + three
    counts[:, 0] = n - counts[:, 1:].sum(axis=1)
    return counts


def _patterns_reach(case: Case, limits: Limits) -> float:
    """Of the kind of groups that shows least: so many channels so far apart, all disjoint groups pooled."""
    if case.channels < 3:
        return 0.0
    kinds = [(k, len(group_starts(case.channels, s, k))) for k in (3, 4, 8) for s in group_strides(case.channels, k)]
    tests = sum((case.channels if k == 3 else groups) + 1 for k, groups in kinds)
    fewest = {k: min(groups for size, groups in kinds if size == k) for k, _ in kinds}
    rows = {3: case.row_count, 4: case.row_count, 8: rows_thinned(case)}
    return max(
        goodness.g_resolution(rows[k] * groups, 2**k, limits.alpha / tests, limits.beta, k)
        for k, groups in fewest.items()
    )


CHECKS = (
    Check(
        name="mask.patterns",
        role="ties",
        least_share=0.25,
        how="The joint patterns of three, four and eight channels are counted, adjacent and at several distances. G compares the "
        "counts with the product of the measured rates. Cells with fewer than 20 expected counts are merged. A safety factor "
        "for the number of cells multiplies the p-value. At rate .5 no channel may be the exclusive or of other channels in all "
        "samples (up to 132 channels; chance explains that with a probability below 10^-15).",
        remedy="Draw an independent random number for each channel: torch.rand(n, c, 1). Do not make decisions from xor-ed or "
        "reused bits, and do not cut several decisions out of one weak random number.",
        resolution_words="an effect size w of the patterns of channel groups",
        share=0.06,
        coarsest={"quick": 0.5, "standard": 0.25, "deep": 0.05},
        wants=dependence_case,
        judge=_patterns,
        reach=_patterns_reach,
    ),
)
