"""Drop decisions of samples and of calls are independent at every distance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.contract.cases import Case
from dropcheck.count.coins import lag_firsts, unpack
from dropcheck.count.copies import CERTAIN, calls_of
from dropcheck.count.gathered import Gathered
from dropcheck.count.single_places import single_places
from dropcheck.count.tallies import (
    CALL_LAGS,
    ROW_LAGS,
    Association,
)
from dropcheck.judge.checks.base import Check, Limits, finding, settle
from dropcheck.judge.checks.mask_anywhere import tied_anywhere
from dropcheck.judge.checks.mask_channels import copied_channels
from dropcheck.judge.checks.mask_ties import (
    CONDITIONAL,
    FULL_LAG,
    columns_of,
    dependence_case,
    end_to_end,
    first_rows,
    lags_reach,
    no_spread,
    pooled_rate,
)
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing
from dropcheck.statistics import association

_EVERY = (
    "The first 32,768 drop decisions (16,384 outside of float32) are also compared at any distance, and each channel with each "
    "channel of the next {unit}. At rate .5 no {unit} may be the exclusive or of other {unit}s. These fail if chance explains "
    "them with a probability below 10^-15; a correlation of .2 at a distance is seen"
)
_OF_CALLS, _OF_SAMPLES = "masks", "the masks of samples"

_Tied = tuple[float, str, float]  # log10 of the chance of any such tie, its words, its correlation


def _by_place(named: list[tuple[str, Association, int]]) -> _Tied:
    """The strongest tie of a single channel, or of a single place of a call: what has both signs cancels in sums over them.

    Each table by the exact conditional law given its margins, Bonferroni over all of them. ``named``: words, tables, and how
    many channels stand beside each other (0: the tables are those of channels).
    """
    best: _Tied = (0.0, "", 0.0)
    tests = sum(len(t.pairs) for _, t, _ in named)
    *joined, starts = end_to_end([columns_of(t) for _, t, _ in named])
    every = np.split(association.association_many(*joined), starts[1:])
    for (name, t, channels), logs in zip(named, every, strict=True):
        i = int(np.argmin(logs))
        log = min(0.0, float(logs[i]) + math.log10(tests))
        if log < best[0]:
            rho = association.correlation(*(x[i : i + 1] for x in columns_of(t)))
            over = association.correlation(*columns_of(t))
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


def _by_neighbour(got: Gathered) -> _Tied:
    """A tie of even and odd calls at any distance: places of the one show in the other, and calls far apart do not share them."""
    places = got.once(single_places)
    if places is None or places.lasting:
        return 0.0, "", 0.0
    above, below = differing(places.above, places.below, 4).split(", expected ")
    which = "even and odd calls depend on each other"
    if places.distance:
        which = f"calls {places.distance} apart depend on each other, with correlation {places.rho:+.3f}, expected 0"
    text = (
        f"{which}: places (row, channel) above the average of their channel in even calls drop with probability {above} in odd "
        f"calls, the others with {below}. Calls far apart show no such places"
    )
    return max(-99999.0, places.log10_p), text, places.rho


def lagged(
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
    if (early := no_spread(check, got)) is not None:
        return early
    # lags that few rows or calls can show would make the resolution of all of them coarse: they are not asked (by the
    # planned sizes alone, never by what was counted)
    most = max(int(t.pairs.sum()) for _, t in lags)
    lags = [(name, t) for name, t in lags if t.pairs.sum() >= FULL_LAG * most]
    worst, where, rho, pairs = 0.0, lags[0][0], 0.0, 0
    estimates: dict[str, float] = {}
    least = None
    every_log = association.log10_two_sided_groups(*end_to_end([columns_of(t) for _, t in lags]))
    for (name, table), log in zip(lags, every_log.tolist(), strict=True):
        estimates[name] = association.correlation(*columns_of(table))
        count = int(table.pairs.sum())
        least = count if least is None else min(least, count)
        if log <= worst or not pairs:
            worst, where, rho, pairs = log, name, estimates[name], count
    total = worst + math.log10(len(lags))
    failed = total <= math.log10(limits.alpha)
    if failed and (once := _without_copies(got, lags)) is not None:
        return lagged(check, got, limits, once, unit, single)
    tied: _Tied = (0.0, "", 0.0)
    if not failed:
        every = [(f"{unit} {name} apart" if unit != "values" else name, t, 0) for name, t in lags]
        tied = _by_place([*every, *(single or [])])
        if unit == _OF_CALLS and tied[0] > CERTAIN:
            tied = min(tied, _by_pair(got))
        if tied[0] > CERTAIN and unit in (_OF_CALLS, _OF_SAMPLES):
            tied = min(tied, tied_anywhere(got, unit == _OF_CALLS))
        if unit == _OF_CALLS and tied[0] > CERTAIN:
            tied = _by_neighbour(got)
    p = pooled_rate(got.live)
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
        return finding(check, got.case, "fail", tied[1], picture=first_rows(got), **numbers)
    if failed:
        return finding(
            check,
            got.case,
            "fail",
            f"{unit} {'1 call' if where == '1 calls' else where} apart have correlation {rho:+.4f}, expected 0",
            picture=first_rows(got),
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
    return lagged(check, got, limits, lags, _OF_SAMPLES, single)


def _calls(check: Check, got: Gathered, limits: Limits) -> Finding | None:
    if got.case.calls < 2:
        return None
    lags = [(f"{lag} calls", t) for lag, t in got.live.call_lags.items()]
    for shift, t in got.live.call_shifts.items():
        lags.append((f"1 call and {shift:+d} rows", t))
    single = [("the masks of neighbouring calls", t, got.live.channels) for t in got.live.call_places.values()]
    return lagged(check, got, limits, lags, _OF_CALLS, single)


def _samples_reach(case: Case, limits: Limits) -> float:
    """Of the coarsest lag that is asked."""
    lags = [len(lag_firsts(case.rows, lag)) for lag in ROW_LAGS if 2 * lag <= case.rows]
    fewest = min((n for n in lags if n >= FULL_LAG * max(lags)), default=0)
    return lags_reach(case, limits, case.calls * fewest, max(1, len(lags)))


def _calls_reach(case: Case, limits: Limits) -> float:
    """Of the coarsest lag that is asked; which lags there are depends on how many calls one answer holds."""
    pairs = case.calls // 2 * case.rows
    return lags_reach(case, limits, int(FULL_LAG * pairs), len(CALL_LAGS) + 2)


CHECKS = (
    Check(
        name="mask.independent-samples",
        role="tied rows",
        conditional=True,
        how=f"{CONDITIONAL}. Samples 1, 2, 4, 8, ... apart are compared over disjoint pairs, with one stratum per channel. "
        f"{_EVERY.format(unit='sample')}. Samples are also compared with those from the end of the batch.",
        remedy="Draw the mask of the whole batch from one generator call: torch.rand(n, c, 1). If each sample has its own seed, "
        "key or counter, derive it by hashing: jax.random.split(key, n), not key + i.",
        resolution_words="a correlation between samples at one distance",
        share=0.06,
        coarsest={"quick": 0.05, "standard": 0.02, "deep": 0.005},
        most=0.5,
        wants=lambda case: dependence_case(case) and (case.rows > 1 and not case.batches),
        judge=_samples,
        reach=_samples_reach,
    ),
    Check(
        name="mask.independent-calls",
        role="tied calls",
        conditional=True,
        how=f"{CONDITIONAL}. The same position in neighbouring calls is compared over disjoint pairs of calls, with one stratum "
        f"per channel. {_EVERY.format(unit='call')}.",
        remedy="Draw a new mask in every call; do not update a part of the last one. If the layer keeps an offset into a random "
        "sequence, advance it by at least the numbers that a call uses.",
        resolution_words="a correlation between calls at one distance",
        share=0.06,
        coarsest={"quick": 0.05, "standard": 0.02, "deep": 0.005},
        most=0.5,
        wants=lambda case: dependence_case(case) and case.calls > 1 and not case.batches,
        judge=_calls,
        reach=_calls_reach,
    ),
)
