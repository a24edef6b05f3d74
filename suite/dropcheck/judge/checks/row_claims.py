"""Rows held to the law of an exact number or of one stretch: how many channels, which ones, and whether rows are alike.

Each test is exact. Tests of one claim on one case share its alpha by Bonferroni. Numbers of channels, places and pairs that the
law excludes fail by a single row. A resolution is in the unit of the estimate: a share that is off by as much is missed with
probability beta at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dropcheck.contract import row_laws
from dropcheck.contract.promise import Pattern
from dropcheck.contract.row_laws import Law
from dropcheck.judge.checks.base import Check, Limits, finding, skipped
from dropcheck.results.audit import Finding
from dropcheck.statistics import binomial, homogeneity

_WRONG_NUMBER = "share of rows with a wrong number of dropped channels"


@dataclass(frozen=True)
class Rows:
    """Rows of one layer. ``rows``: (rows of all calls, channels), True where dropped; ``one``: rows of a call."""

    text: str
    pattern: Pattern
    law: Law
    rate: float
    rows: Any
    one: int
    split: int


def _tested(check: Check, seen: Rows, limits: Limits, log: float, bad: str, good: str, **numbers: Any) -> Finding:
    """A failure below the case's alpha; ``log``: of the most extreme test, all tests counted."""
    log = min(0.0, log)
    verdict: Any = "fail" if log <= math.log10(limits.alpha) else "pass"
    alpha = limits.alpha if math.isfinite(limits.alpha) else None
    text = bad if verdict == "fail" else good
    return finding(check, seen.text, verdict, text, log10_evidence=log, coins=len(seen.rows), alpha=alpha, **numbers)


def whole(check: Check, seen: Rows, limits: Limits) -> Finding:
    """Elements that share a coin fall together; what a row loses of a stretch are neighbours."""
    broken = row_laws.torn(seen.rows) if seen.pattern.stretch else np.zeros(1, bool)
    apart, n = int(np.count_nonzero(broken)), len(seen.rows)
    bad = seen.split + apart
    numbers: dict[str, Any] = dict(
        estimate=bad / max(bad, n),
        expected=0.0,
        unit="share of decisions whose elements disagree",
        coins=max(bad, n),
        tallies={"disagreeing": bad, "coins": max(bad, n)},
    )
    if seen.split:
        text = f"{seen.split} drop decisions have dropped and kept elements along {' '.join(seen.pattern.shared)}, expected none"
    elif apart:
        row = int(np.argmax(broken))
        where = ", ".join(map(str, np.flatnonzero(seen.rows[row])[:12]))
        text = f"{apart} of {n} rows lose more than one stretch, expected none; row {row} loses {seen.pattern.stretch} {where}"
    else:
        what = f"one stretch along {seen.pattern.stretch} at most" if seen.pattern.stretch else "whole channels only"
        rare = binomial.zero_tolerance_resolution(n, limits.beta)
        return finding(
            check, seen.text, "pass", f"all {n} rows lose {what}", log10_evidence=0.0, resolution=rare, **numbers
        )
    return finding(check, seen.text, "fail", text, log10_evidence=-math.inf, **numbers)


def counts(check: Check, seen: Rows, limits: Limits) -> Finding:
    """How many channels rows lose: an exact number, or a length with its probability."""
    law, n = seen.law, len(seen.rows)
    observed = np.bincount(seen.rows.sum(axis=1), minlength=law.size + 1)
    excluded = np.flatnonzero((law.counts == 0) & (observed > 0))
    numbers: dict[str, Any] = dict(tallies={"rows_by_number": observed, "expected_rows": np.round(law.counts * n, 2)})
    if len(excluded):
        some = int(observed[excluded].sum())
        worst = int(excluded[np.argmax(observed[excluded])])
        right = f"at most {law.number}" if law.starts is not None else f"exactly {law.number}"
        right += " or none" if law.event and law.starts is None else ""
        text = f"{some} of {n} rows lose a wrong number of channels, most often {worst}, expected {right}"
        share = some / n
        more = dict(estimate=share, expected=0.0, unit=_WRONG_NUMBER)
        return finding(check, seen.text, "fail", text, log10_evidence=-math.inf, coins=n, **more, **numbers)
    if law.starts is None:
        text = f"all rows that drop lose exactly {law.number} of {law.size} channels ({n} rows)"
        rare = binomial.zero_tolerance_resolution(n, limits.beta)
        more = dict(resolution=rare, estimate=0.0, expected=0.0, unit=_WRONG_NUMBER)
        return finding(check, seen.text, "pass", text, log10_evidence=0.0, coins=n, **more, **numbers)
    lengths = np.arange(law.number + 1)
    logs = binomial.log10_two_sided_many(observed[lengths], n, law.counts[lengths])
    worst = int(np.argmin(logs))
    shares = (float(observed[worst] / n), float(law.counts[worst]))
    fine = _resolution(n, law.counts[lengths], limits, len(lengths))
    more = dict(estimate=shares[0], expected=shares[1], unit="share of rows with one length", resolution=fine)
    bad = f"length {worst} has a share of {shares[0]:.4f} of {n} rows, expected {shares[1]:.4f}"
    good = (
        f"lengths 0 to {law.number} have their shares of {n} rows; the furthest is {shares[0]:.4f} for {shares[1]:.4f}"
    )
    return _tested(check, seen, limits, float(logs[worst]) + math.log10(len(lengths)), bad, good, **more, **numbers)


def places(check: Check, seen: Rows, limits: Limits) -> Finding:
    """Which channels rows lose: each as often as any other; of a stretch where it begins and ends, given the lengths."""
    law = seen.law
    dropping = seen.rows[seen.rows.any(axis=1)]
    if not len(dropping):
        return skipped(check, seen.text, "no row drops: no channel can differ")
    if law.starts is None:
        found, expected = dropping.sum(axis=0), np.full(law.size, law.number / law.size)
        word, names = "channel {0} drops in", np.arange(law.size)
    else:
        lengths = np.bincount(dropping.sum(axis=1), minlength=law.size + 1)
        begins, ends = np.argmax(dropping, axis=1), law.size - 1 - np.argmax(dropping[:, ::-1], axis=1)
        # given the lengths a place has a chance of its own in each row: tails of the sum are those of the binomial law with the
        # mean chance at most, beyond 1 of its mean (Hoeffding 1956, theorem 4)
        starts = lengths @ law.starts
        stops = np.zeros(law.size)
        for length in np.flatnonzero(lengths):
            stops[length - 1 :] += lengths[length] * law.starts[length, : law.size - length + 1]
        found = np.concatenate([np.bincount(begins, minlength=law.size), np.bincount(ends, minlength=law.size)])
        expected = np.concatenate([starts, stops]) / len(dropping)
        word, names = "{1} at {0} in", np.tile(np.arange(law.size), 2)
    logs = _beyond_one(found, len(dropping), expected)
    worst = int(np.argmin(logs))
    what = word.format(int(names[worst]), "a stretch begins" if worst < law.size else "a stretch ends")
    share, right = float(found[worst] / len(dropping)), float(expected[worst])
    bad = f"{what} {share:.4f} of the rows that drop, expected {right:.4f}"
    good = f"each channel has its share of {len(dropping)} rows that drop; the furthest has {share:.4f} for {right:.4f}"
    fine = _resolution(len(dropping), expected, limits, len(found))
    numbers: dict[str, Any] = dict(
        estimate=share, expected=right, unit="share of rows at one channel", tallies={"rows_by_channel": found}
    )
    numbers["resolution"] = fine
    return _tested(check, seen, limits, float(logs[worst]) + math.log10(len(found)), bad, good, **numbers)


def _resolution(n: int, chances: Any, limits: Limits, tests: int) -> float:
    """The deviation that ``tests`` tests miss with probability beta, of the share nearest to a half, which shows it least."""
    share = float(chances[np.argmin(np.abs(np.asarray(chances) - 0.5))])
    return binomial.resolution(n, share, limits.alpha / tests, limits.beta)


def _beyond_one(found: Any, n: int, chance: Any) -> Any:
    """log10 of both tails of counts, each tail doubled; 0 where a count is within 1 of its mean; -inf where chance 0 was seen."""
    logs = np.array(binomial.log10_two_sided_many(found, n, np.clip(chance, 0.0, 1.0)), np.float64)
    logs[np.abs(found - n * chance) <= 1] = 0.0
    logs[(chance <= 0) & (found > 0)] = -math.inf
    return logs


def pairs(check: Check, seen: Rows, limits: Limits) -> Finding:
    """Of an exact number above one: each pair of channels together as often as any other."""
    law = seen.law
    if law.starts is not None:
        return skipped(check, seen.text, "channels of a stretch drop together: mask.dropped-count tests its length")
    if law.number < 2:
        return skipped(check, seen.text, "one channel of a row drops: there are no pairs")
    dropping = seen.rows[seen.rows.any(axis=1)].astype(np.float64)
    if not len(dropping):
        return skipped(check, seen.text, "no row drops: no pair can differ")
    together = np.rint(dropping.T @ dropping).astype(np.int64)
    first, second = np.triu_indices(law.size, 1)
    chance = law.number * (law.number - 1) / (law.size * (law.size - 1))
    logs = binomial.log10_two_sided_many(together[first, second], len(dropping), np.full(len(first), chance))
    worst = int(np.argmin(logs))
    share = float(together[first[worst], second[worst]] / len(dropping))
    where = f"channels {first[worst]} and {second[worst]}"
    bad = f"{where} drop together in {share:.4f} of the rows that drop, expected {chance:.4f}"
    good = (
        f"each of {len(first)} pairs of channels drops together as often; the furthest in {share:.4f}, for {chance:.4f}"
    )
    numbers: dict[str, Any] = dict(
        estimate=share, expected=chance, unit="share of rows in which one pair drops", tallies={"pairs": len(first)}
    )
    numbers["resolution"] = _resolution(len(dropping), np.array([chance]), limits, len(first))
    return _tested(check, seen, limits, float(logs[worst]) + math.log10(len(first)), bad, good, **numbers)


def alike_rows(check: Check, seen: Rows, limits: Limits) -> Finding:
    """Rows of one call, in disjoint pairs: alike as often as rows of calls that are far apart."""
    calls = seen.rows.reshape(-1, seen.one, seen.law.size)
    lags = [lag for lag in (1, 2, 4, 8, 16, seen.one // 2) if 0 < lag <= seen.one // 2]
    near = calls[: len(calls) // 2].swapaxes(0, 1)
    return _alike(check, seen, limits, {f"rows {lag} apart": _disjoint(near, lag) for lag in lags})


def alike_calls(check: Check, seen: Rows, limits: Limits) -> Finding:
    """The same row of two calls, in disjoint pairs: alike as often as other rows of calls that are far apart."""
    calls = seen.rows.reshape(-1, seen.one, seen.law.size)
    near = calls[: len(calls) // 2]
    lags = [lag for lag in (1, 2, 3) if 2 * lag <= len(near)]
    return _alike(check, seen, limits, {f"calls {lag} apart": _disjoint(near, lag) for lag in lags})


def _disjoint(some: Any, lag: int) -> tuple[int, int]:
    """(alike, pairs) of entries along the first axis that are ``lag`` apart, no entry in two pairs."""
    blocks = some[: len(some) // (2 * lag) * 2 * lag].reshape(-1, 2, lag, *some.shape[1:])
    alike = (blocks[:, 0] == blocks[:, 1]).all(axis=-1)
    return int(np.count_nonzero(alike)), int(alike.size)


def _far(seen: Rows) -> tuple[int, int]:
    """(alike, pairs) of row r of a call in the third quarter of all calls and row r + 1 of one in the last quarter."""
    calls = seen.rows.reshape(-1, seen.one, seen.law.size)
    half, some = len(calls) // 2, len(calls) // 4
    alike = (calls[half : half + some] == np.roll(calls[half + some : half + 2 * some], 1, axis=1)).all(axis=-1)
    return int(np.count_nonzero(alike)), int(alike.size)


def _alike(check: Check, seen: Rows, limits: Limits, some: dict[str, tuple[int, int]]) -> Finding:
    """Near pairs against far ones, of other calls: exact given the totals, whatever the law of a single row is."""
    far, others = _far(seen)
    some = {name: pair for name, pair in some.items() if pair[1]}
    if not some or not others:
        return skipped(check, f"{seen.text} alike", "a call has one row")
    logs = {
        name: float(np.min(homogeneity.position_log10(np.array([alike, far]), np.array([n, others]))))
        for name, (alike, n) in some.items()
    }
    worst = min(logs, key=lambda name: logs[name])
    (alike, n), usual = some[worst], far / others
    share = alike / n
    bad = f"{worst} drop the same channels in {share:.4f} of {n} pairs, rows of other calls in {usual:.4f}"
    good = f"rows drop the same channels as often as rows of other calls; {worst} in {share:.4f} of {n} pairs, for {usual:.4f}"
    numbers: dict[str, Any] = dict(
        estimate=share, expected=usual, unit="share of pairs of rows that are alike", tallies={"pairs": n}
    )
    # near pairs are the fewer or as many as the far ones: the smaller group's share is the coarser one
    tests = 2 * len(logs)
    numbers["resolution"] = max(
        homogeneity.position_resolution(min(n, others), 2, float(usual), 2 * limits.alpha / tests, limits.beta)
        for _, n in some.values()
    )
    of_pairs = replace(seen, text=f"{seen.text} alike")
    return _tested(check, of_pairs, limits, logs[worst] + math.log10(2 * len(logs)), bad, good, **numbers)
