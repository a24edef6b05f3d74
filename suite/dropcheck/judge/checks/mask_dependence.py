"""The second half of the mask family: drop decisions are independent of each other and of the input's values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.coins import lag_firsts, unpack
from dropcheck.count.copies import CERTAIN, calls_of
from dropcheck.count.gathered import Gathered
from dropcheck.count.tallies import (
    ALL_PAIRS_UP_TO,
    CALL_LAGS,
    FAR_PAIRS_UP_TO,
    ROW_LAGS,
    Association,
    Tally,
    group_starts,
    group_strides,
    pair_strides,
    thinned_rows,
)
from dropcheck.judge.checks.base import Check, Limits, draw_matrix, finding, pearson, picture, settle, skipped
from dropcheck.judge.checks.daily_inputs import IGNORES, on_inputs
from dropcheck.judge.checks.daily_sizes import COUNT, at_sizes
from dropcheck.judge.checks.mask_copies import copied_channels
from dropcheck.judge.checks.value_places import by_place
from dropcheck.results.audit import Finding, Statistic
from dropcheck.results.plain_text import differing
from dropcheck.statistics import association, dispersion, goodness

_OF_CALLS = "masks"
FULL_LAG = 2 / 3  # share of the most pairs of any lag that a lag must have to be asked


def _rates(tally: Tally) -> np.ndarray[Any, np.dtype[np.float64]]:
    return tally.channel / max(1, tally.rows)


def _pooled_rate(tally: Tally) -> float:
    return tally.dropped / max(1, tally.coins)


def _no_spread(check: Check, got: Gathered) -> Finding | None:
    p = _pooled_rate(got.live)
    if not 0 < p < 1:
        return skipped(
            check, got.case, f"all drop decisions are the same (drop rate {p:g}), so dependence is not visible"
        )
    return None


def _joined(tables: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """Tables one behind the other, and where each begins."""
    lengths = [len(table[0]) for table in tables]
    return (*(np.concatenate(parts) for parts in zip(*tables, strict=True)), np.cumsum([0, *lengths[:-1]]))


def _columns(table: Association) -> tuple[Any, ...]:
    return table.pairs, table.first, table.second, table.both


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
    *joined, starts = _joined(tables)
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
    if (early := _no_spread(check, got)) is not None:
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
    logs = association.log10_two_sided_groups(*_joined(pooled))
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
    resolution = association.correlation_resolution(fewest, _pooled_rate(tally), limits.alpha / 2 / tests, limits.beta)
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
        return finding(check, case, "fail", what, picture=_sample(got), **numbers)
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


def _sample(got: Gathered) -> Any:
    if got.sample is None:
        return None
    rows = draw_matrix(got.sample, got.tally.channels)
    return picture(
        "rows: samples, across: channels; # kept, . dropped",
        "channel",
        rows,
        [f"row {i}" for i in range(len(rows))],
    )


_Tied = tuple[float, str, float]  # log10 of the chance of any such tie, its words, its correlation


def _by_place(named: list[tuple[str, Association, int]]) -> _Tied:
    """The strongest tie of a single channel, or of a single place of a call: what has both signs cancels in sums over them.

    Each table by the exact conditional law given its margins, Bonferroni over all of them. ``named``: words, tables, and how
    many channels stand beside each other (0: the tables are those of channels).
    """
    best: _Tied = (0.0, "", 0.0)
    tests = sum(len(t.pairs) for _, t, _ in named)
    *joined, starts = _joined([_columns(t) for _, t, _ in named])
    every = np.split(association.association_many(*joined), starts[1:])
    for (name, t, channels), logs in zip(named, every, strict=True):
        i = int(np.argmin(logs))
        log = min(0.0, float(logs[i]) + math.log10(tests))
        if log < best[0]:
            rho = association.correlation(*(x[i : i + 1] for x in _columns(t)))
            over = association.correlation(*_columns(t))
            where = f"in row {i // channels}, channel {i % channels}" if channels else f"in channel {i}"
            many = int((logs <= logs[i] / 2).sum())
            kind = "places" if channels else "channels"
            text = (
                f"{name} depend on each other: {where} their correlation is {rho:+.3f}, expected 0. {many} of "
                f"{len(logs)} {kind} differ like this; over all of them the correlation is {over:+.4f}"
            )
            best = log, text, rho
    return best


def _by_pair(got: Gathered) -> _Tied:
    """The strongest tie of a single pair of neighbouring calls among the first coins, channels as strata.

    The pair with the largest normal score is judged by the exact conditional law, Bonferroni over all pairs.
    """
    calls = calls_of(got)
    # rows with rates of their own make the coins of any two calls look alike
    if calls is None or got.case.rows < 2 or len(calls) < 4 or (got.positions is not None and got.positions.own.any()):
        return 0.0, "", 0.0
    pairs = len(calls) // 2
    one, two = (calls[i : 2 * pairs : 2].reshape(pairs, -1) for i in (0, 1))
    a, b, both = (np.bitwise_count(x).sum(axis=1, dtype=np.int64) for x in (one, two, one & two))
    n = got.case.rows * got.tally.channels
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.nan_to_num(np.abs(both - a * b / n) / np.sqrt(a * b / n * (1 - a / n) * (1 - b / n)), posinf=0.0)
    best = int(np.argmax(score))
    if score[best] < 6:  # below a chance of 10^-8, nothing is certain
        return 0.0, "", 0.0
    first, second = (unpack(calls[i], got.tally.channels).astype(np.int64) for i in (2 * best, 2 * best + 1))
    table = (
        np.full(got.tally.channels, got.case.rows),
        first.sum(axis=0),
        second.sum(axis=0),
        (first & second).sum(axis=0),
    )
    log = min(association.log10_association(*table)) + math.log10(2 * pairs)
    rho = association.correlation(*table)
    many = int((score > score[best] / 2).sum())
    text = (
        f"the masks of calls {2 * best} and {2 * best + 1} have correlation {rho:+.3f}, expected 0. {many} of {pairs} pairs of "
        "neighbouring calls differ like this"
    )
    return min(0.0, log), text, rho


def _lagged(
    check: Check,
    got: Gathered,
    limits: Limits,
    lags: list[tuple[str, Association]],
    unit: str,
    single: list[tuple[str, Association, int]] | None = None,
) -> Finding | None:
    """The strongest of several lags: exact conditional tests with the channels as strata.

    Where none fails, ties that cancel in the sums: of single channels, of the ``single`` tables of places, and for calls
    of single pairs. They fail only below a chance of 10^-15, and take nothing from the check's share.
    """
    if not lags:
        return None
    if (early := _no_spread(check, got)) is not None:
        return early
    # lags that few rows or calls can show would make the resolution of all of them coarse: they are not asked (by the
    # planned sizes alone, never by what was counted)
    most = max(int(t.pairs.sum()) for _, t in lags)
    lags = [(name, t) for name, t in lags if t.pairs.sum() >= FULL_LAG * most]
    worst, where, rho, pairs = 0.0, lags[0][0], 0.0, 0
    estimates: dict[str, float] = {}
    least = None
    every_log = association.log10_two_sided_groups(*_joined([_columns(t) for _, t in lags]))
    for (name, table), log in zip(lags, every_log.tolist(), strict=True):
        estimates[name] = association.correlation(*_columns(table))
        count = int(table.pairs.sum())
        least = count if least is None else min(least, count)
        if log <= worst or not pairs:
            worst, where, rho, pairs = log, name, estimates[name], count
    total = worst + math.log10(len(lags))
    failed = total <= math.log10(limits.alpha)
    if failed and (once := _without_copies(got, lags)) is not None:
        return _lagged(check, got, limits, once, unit, single)
    tied: _Tied = (0.0, "", 0.0)
    if not failed:
        every = [(f"{unit} {name} apart" if unit != "values" else name, t, 0) for name, t in lags]
        tied = _by_place([*every, *(single or [])])
        if unit == _OF_CALLS and tied[0] > CERTAIN:
            tied = min(tied, _by_pair(got))
    p = _pooled_rate(got.live)
    assert least is not None
    # of any lag: that with the fewest pairs
    resolution = association.correlation_resolution(least, p, limits.alpha / len(lags), limits.beta)
    numbers: dict[str, Any] = dict(
        estimate=rho,
        expected=0.0,
        unit="correlation",
        coins=2 * most,
        resolution=resolution,
        log10_evidence=min(0.0, total),
        tallies={"lags": estimates, "pairs": most},
    )
    if tied[0] <= CERTAIN:
        numbers.update(estimate=tied[2], log10_evidence=tied[0])
        numbers["tallies"]["single"] = tied[2]
        return finding(check, got.case, "fail", tied[1], picture=_sample(got), **numbers)
    if failed:
        return finding(
            check,
            got.case,
            "fail",
            f"{unit} {'1 call' if where == '1 calls' else where} apart have correlation {rho:+.4f}, expected 0",
            picture=_sample(got),
            **numbers,
        )
    return finding(
        check,
        got.case,
        settle(False, resolution, limits.coarsest),
        f"{unit} are independent at {len(lags)} distances; the largest correlation is {max(estimates.values(), key=abs):+.4f}",
        **numbers,
    )


def _without_copies(got: Gathered, lags: list[tuple[str, Association]]) -> list[tuple[str, Association]] | None:
    """The tables of one channel of each group of copies: a coin that stands in several channels counts once. None: all of them."""
    tally = got.live
    if tally.channels < 2 or not tally.pair_rows or not len(copied := copied_channels(tally, 1.0)):
        return None  # channels that are equal by chance are left out as well: that costs coins, and accuses nobody
    keep = np.setdiff1d(np.arange(tally.channels), copied[:, 1])  # the second of a pair is a copy of the first
    if len(lags[0][1].pairs) == len(keep):
        return None  # they are left out already
    return [(name, Association(t.pairs[keep], t.first[keep], t.second[keep], t.both[keep])) for name, t in lags]


def _samples(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    rows = got.case.rows if not got.case.batches else min(got.case.batches)
    tally = got.live
    lags = [(str(lag), t) for lag, t in tally.row_lags.items() if 2 * lag <= rows]
    single = []
    if len(tally.row_places) and not tally.without.any():
        size = len(tally.row_places)
        one, two = (tally.position[i : 2 * size : 2].ravel() for i in (0, 1))
        table = Association(np.full(len(one), tally.position_calls, np.int64), one, two, tally.row_places.ravel())
        single.append(("the masks of samples 2 r and 2 r + 1", table, tally.channels))
    return _lagged(check, got, limits, lags, "the masks of samples", single)


def _calls(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if got.case.calls < 2:
        return None
    lags = [(f"{lag} calls", t) for lag, t in got.live.call_lags.items()]
    for shift, t in got.live.call_shifts.items():
        lags.append((f"1 call and {shift:+d} rows", t))
    single = [("the masks of neighbouring calls", t, got.live.channels) for t in got.live.call_places.values()]
    return _lagged(check, got, limits, lags, _OF_CALLS, single)


def _count(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.live, got.case
    if tally.channels < 2:
        return skipped(check, case, "the check needs at least two channels")
    if not tally.rows:
        return None
    if (early := _no_spread(check, got)) is not None:
        return early
    p = _rates(tally)
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
        return finding(check, case, "fail", text, picture=_sample(got), **numbers)
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
            picture=_sample(got),
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


def _patterns(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    tally, case = got.live, got.case
    if tally.channels < 3:
        return skipped(check, case, "the check needs at least three channels")
    if not tally.pair_rows:
        return None
    if (early := _no_spread(check, got)) is not None:
        return early
    p, n = _rates(tally), tally.pair_rows
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
            picture=_sample(got),
            **numbers,
        )
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


def _values(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if not got.tally.values:
        return None
    names = ("the sign of the input", "the magnitude of the input")
    lags = list(zip(names, got.tally.values, strict=False))
    if (early := _no_spread(check, got)) is not None:
        return early
    result = _lagged(check, got, limits, lags, "values")
    if result is None:
        return None
    coins = got.tally.coins
    if "single" in result.tallies:
        text = f"the mask depends on the input: the mask and {result.message}"
        return msgspec.structs.replace(result, message=text, coins=coins, picture=None)
    if result.verdict != "fail":
        log, words, lean = by_place(got.tally, names)
        if log <= CERTAIN:  # takes nothing from the check's share
            numbers = {**result.tallies, "single": lean}
            text = f"the mask depends on {words}"
            return finding(
                check, got.case, "fail", text, estimate=lean, expected=0.0, unit="correlation", coins=coins,
                resolution=result.resolution, log10_evidence=log, tallies=numbers,
            )  # fmt: skip
        most = f"{result.estimate or 0:+.4f}"
        text = f"the mask is independent of the sign and magnitude of the input; the largest correlation is {most}"
        return msgspec.structs.replace(result, message=text, coins=coins)
    name, rho = max(result.tallies["lags"].items(), key=lambda kv: abs(kv[1]))
    text = f"the mask depends on {name}: correlation {rho:+.4f}, expected 0"
    return msgspec.structs.replace(result, message=text, estimate=rho, coins=coins, picture=None)


def _pair_count(channels: int) -> int:
    """Pairs of channels that a tally tests."""
    near = sum(channels - s for s in pair_strides(channels))
    far = ALL_PAIRS_UP_TO < channels <= FAR_PAIRS_UP_TO
    return near + (channels * (channels - 1) // 2 if far else 0)


def _thinned_rows(case: Case) -> int:
    return thinned_rows(case.row_count, None if case.batches else case.rows)


def _channels_reach(case: Case, limits: Limits) -> float:
    if case.channels < 2:
        return 0.0  # skipped with its reason
    far = ALL_PAIRS_UP_TO < case.channels <= FAR_PAIRS_UP_TO
    rows = _thinned_rows(case) if far else case.row_count
    return association.correlation_resolution(
        rows, case.rate, limits.alpha / 2 / _pair_count(case.channels), limits.beta
    )


def _lags_reach(case: Case, limits: Limits, pairs: int, lags: int) -> float:
    return association.correlation_resolution(pairs * case.channels, case.rate, limits.alpha / lags, limits.beta)


def _samples_reach(case: Case, limits: Limits) -> float:
    """Of the coarsest lag that is asked."""
    lags = [len(lag_firsts(case.rows, lag)) for lag in ROW_LAGS if 2 * lag <= case.rows]
    fewest = min((n for n in lags if n >= FULL_LAG * max(lags)), default=0)
    return _lags_reach(case, limits, case.calls * fewest, max(1, len(lags)))


def _calls_reach(case: Case, limits: Limits) -> float:
    """Of the coarsest lag that is asked; which lags there are depends on how many calls one answer holds."""
    pairs = case.calls // 2 * case.rows
    return _lags_reach(case, limits, int(FULL_LAG * pairs), len(CALL_LAGS) + 2)


def _count_reach(case: Case, limits: Limits) -> float:
    if case.channels < 2:
        return 0.0
    law = np.full(case.channels, case.rate)
    return dispersion.dispersion_resolution(case.row_count, law, limits.alpha / 3, limits.beta)


def _patterns_reach(case: Case, limits: Limits) -> float:
    """Of the kind of groups that shows least: so many channels so far apart, all disjoint groups pooled."""
    if case.channels < 3:
        return 0.0
    kinds = [(k, len(group_starts(case.channels, s, k))) for k in (3, 4, 8) for s in group_strides(case.channels, k)]
    tests = sum((case.channels if k == 3 else groups) + 1 for k, groups in kinds)
    fewest = {k: min(groups for size, groups in kinds if size == k) for k, _ in kinds}
    rows = {3: case.row_count, 4: case.row_count, 8: _thinned_rows(case)}
    return max(
        goodness.g_resolution(rows[k] * groups, 2**k, limits.alpha / tests, limits.beta, k)
        for k, groups in fewest.items()
    )


def _dependence_case(case: Case) -> bool:
    return case.regime == "stream" and 0.05 <= case.rate <= 0.95


_CONDITIONAL = (
    "The measured number of drops of each channel is taken as fixed, so that a wrong rate does not look like dependence. The "
    "number of joint drops then follows a known (hypergeometric) law"
)

CHECKS = (
    Check(
        name="mask.independent-channels",
        role="ties",
        conditional=True,
        how=f"{_CONDITIONAL}. Every pair of channels is tested, with a Bonferroni correction. Disjoint pairs at each distance "
        "(neighbours, widths of vectors) are also tested together, by an exact Cochran-Mantel-Haenszel test.",
        remedy="Draw the numbers of all channels from one generator call: torch.rand(n, c, 1). If a kernel has a generator per "
        "lane or per channel, give each a different Philox counter. Do not use channel + constant as a seed.",
        resolution_words="a correlation between two channels",
        share=0.06,
        coarsest={"quick": 0.25, "standard": 0.1, "deep": 0.02},
        most=0.5,
        wants=_dependence_case,
        judge=_channels,
        reach=_channels_reach,
    ),
    Check(
        name="mask.independent-samples",
        role="tied rows",
        conditional=True,
        how=f"{_CONDITIONAL}. Samples 1, 2, 4, 8, ... apart are compared over disjoint pairs, with one stratum per channel.",
        remedy="Draw the mask of the whole batch from one generator call: torch.rand(n, c, 1). If each sample has its own seed, "
        "key or counter, derive it by hashing: jax.random.split(key, n), not key + i.",
        resolution_words="a correlation between samples at one distance",
        share=0.06,
        coarsest={"quick": 0.05, "standard": 0.02, "deep": 0.005},
        most=0.5,
        wants=lambda case: _dependence_case(case) and (case.rows > 1 and not case.batches),
        judge=_samples,
        reach=_samples_reach,
    ),
    Check(
        name="mask.independent-calls",
        role="tied calls",
        conditional=True,
        how=f"{_CONDITIONAL}. The same position in neighbouring calls is compared over disjoint pairs of calls, with one stratum "
        "per channel.",
        remedy="Draw a new mask in every call; do not update a part of the last one. If the layer keeps an offset into a random "
        "sequence, advance it by at least the numbers that a call uses.",
        resolution_words="a correlation between calls at one distance",
        share=0.06,
        coarsest={"quick": 0.05, "standard": 0.02, "deep": 0.005},
        most=0.5,
        wants=lambda case: _dependence_case(case) and case.calls > 1 and not case.batches,
        judge=_calls,
        reach=_calls_reach,
    ),
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
        wants=_dependence_case,
        judge=_count,
        observe=at_sizes(COUNT),
        reach=_count_reach,
    ),
    Check(
        name="mask.patterns",
        role="ties",
        least_share=0.25,
        how="The joint patterns of three, four and eight channels are counted, adjacent and at several distances. G compares the "
        "counts with the product of the measured rates. Cells with fewer than 20 expected counts are merged. A safety factor "
        "for the number of cells multiplies the p-value.",
        remedy="Draw an independent random number for each channel: torch.rand(n, c, 1). Do not make decisions from xor-ed or "
        "reused bits, and do not cut several decisions out of one weak random number.",
        resolution_words="an effect size w of the patterns of channel groups",
        share=0.06,
        coarsest={"quick": 0.5, "standard": 0.25, "deep": 0.05},
        wants=_dependence_case,
        judge=_patterns,
        reach=_patterns_reach,
    ),
    Check(
        name="mask.ignores-values",
        role="values",
        conditional=True,
        how=f"{_CONDITIONAL}. The inputs have random signs and magnitudes, and the mask is compared with both. A dependence whose "
        "direction differs from place to place is located in every second call and tested in the others (below 10^-15 by "
        "chance). Special inputs are tested, too: zero channels, equal samples, constants.",
        remedy="Draw the mask without looking at the values: torch.rand(n, c, 1, device=x.device). Do not seed from x.sum() or "
        "a hash of x, and do not compare with x. Do not take 0 in the input for a dropped element.",
        resolution_words="a correlation between the mask and the sign or magnitude of the input",
        share=0.04,
        coarsest={"quick": 0.05, "standard": 0.02, "deep": 0.005},
        most=0.5,
        wants=lambda case: case.regime == "values",
        judge=_values,
        observe=on_inputs(IGNORES),
        reach=lambda case, limits: _lags_reach(case, limits, case.row_count, 2),
    ),
)
