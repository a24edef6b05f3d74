"""Exclusive ors: one channel, one sample or one call that is the exclusive or of others, wherever these are.

Looked for where the rate is one half: at any other rate an exclusive or of independent coins has another rate than they, or
pairs of them are tied. The chance of what is said here is below ``CERTAIN``: it takes nothing from the share of any check.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import CERTAIN, calls_of
from dropcheck.count.first_coins import NONE, Tied
from dropcheck.count.gathered import Gathered
from dropcheck.statistics.binary_ranks import dependent, log10_dependent

MOST = 132  # channels, samples or calls that are held against each other
_MORE = 64  # coins beyond their number: 2^-64 of what is asked falls to chance, and further coins must agree
_NAMED = 6
_LEAN = 0.6  # of the rate of one of them: more is a rate of its own


def channels_that_add_up(got: Gathered) -> Tied:
    """A channel that is the exclusive or of others in all of the first rows."""
    calls = calls_of(got)
    if calls is None or not _even(got) or not 3 <= got.case.channels <= MOST:
        return NONE
    rows = calls.reshape(-1, calls.shape[2])
    return _found(lambda count: unpack(rows[:count], got.case.channels).T, len(rows), got.case.channels, "channel")


def samples_that_add_up(got: Gathered) -> Tied:
    """A sample that is the exclusive or of others of its call in all of the first calls."""
    calls = calls_of(got)
    if calls is None or not _even(got) or not 3 <= got.case.rows <= MOST:
        return NONE
    channels, rows = got.case.channels, got.case.rows

    def some(count: int) -> Any:
        few = calls[: -(-count // channels)]
        return unpack(few.transpose(1, 0, 2).reshape(-1, few.shape[2]), channels).reshape(rows, -1)[:, :count]

    return _found(some, len(calls) * channels, rows, "sample")


def calls_that_add_up(got: Gathered) -> Tied:
    """A call that is the exclusive or of earlier ones, place by place."""
    calls = calls_of(got)
    if calls is None or not _even(got):
        return NONE
    channels, rows = got.case.channels, got.case.rows
    number = min(MOST, len(calls), rows * channels - 2 * _MORE)
    if number < 3:
        return NONE

    def some(count: int) -> Any:
        few = calls[:number, : -(-count // channels)]
        return unpack(few.reshape(-1, few.shape[2]), channels).reshape(number, -1)[:, :count]

    return _found(some, rows * channels, number, "call")


def _even(got: Gathered) -> bool:
    """Whether the asked rate is one half, and the measured one close to it."""
    case = got.case
    return (
        case.regime == "stream"
        and case.rate == 0.5
        and abs(2 * got.tally.dropped - got.tally.coins) < got.tally.coins / 8
    )


def _found(some: Any, available: int, n: int, what: str) -> Tied:
    """``some``: how many coins of each -> (n, coins). Judged by all coins there are; the first few say what to look at."""
    few = n + 1 + _MORE
    if available < few + _MORE:
        return NONE
    first = some(few)
    # always alike, a vector is the exclusive or of none: that is its rate
    kept = np.flatnonzero((first != first[:, :1]).any(axis=1))
    ones = (1 << few) - 1
    vectors = [int.from_bytes(row.tobytes(), "little") for row in np.packbits(first[kept], axis=1, bitorder="little")]
    found = dependent([ones, *vectors])
    if found is None:
        return NONE
    members = [int(kept[k - 1]) for k in found if k]
    every = some(available)[members]
    parity = np.bitwise_xor.reduce(every, axis=0)
    lean = float(np.abs(1 - 2 * every.mean(axis=1)).max())
    if len(members) < 3 or (parity != parity[0]).any() or lean > _LEAN:
        return NONE  # copies are told elsewhere
    log = log10_dependent(n, available, lean)
    if log > CERTAIN:
        return NONE
    *others, last = members
    names = ", ".join(map(str, others[:_NAMED])) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
    inverted = ", inverted," if parity[0] else ""
    units = {"channel": "samples", "sample": "channels of calls", "call": "places"}[what]
    text = f"the mask of {what} {last} is the exclusive or of those of {what}s {names}{inverted} in all of {available} {units}"
    return max(log, -99999.0), f"{text}, expected no such {what}", math.nan
