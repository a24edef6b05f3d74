"""Single channels tied to single channels of the next sample, or of the next call: one pair among all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import calls_of
from dropcheck.count.first_coins import NONE, Tied, first_coins
from dropcheck.count.gathered import Gathered
from dropcheck.statistics import association

_CHANNELS = 128  # the first and the last half of so many
_ROWS = 256  # pairs of samples that are looked at, at most
_LEAST = 64  # pairs below which nothing is certain
_SCORE = 7.0  # a normal score that has to be exceeded; below it no pair is certain
_SHIFT = 4.0  # normal score of all channels together: rows or calls have rates of their own


def ties_of_neighbours(got: Gathered) -> tuple[Tied, Tied]:
    """The strongest tie of a channel with a channel of the next sample, and of the next call.

    Disjoint pairs of samples, or of calls at one batch position; each pair of channels by the exact conditional law given its
    drops, Bonferroni over all of them.
    """
    calls, channels = calls_of(got), got.case.channels
    if calls is None or channels < 2 or got.once(first_coins) is None:
        return NONE, NONE
    most = 2 * _ROWS + 1
    some = calls[: max(2, -(-most // got.case.rows)), :most]
    bits = unpack(some.reshape(-1, some.shape[2]), channels).reshape(*some.shape[:2], channels)
    chosen = np.arange(channels)
    if channels > _CHANNELS:
        chosen = np.concatenate([chosen[: _CHANNELS // 2], chosen[-_CHANNELS // 2 :]])
        bits = bits[:, :, chosen]
    found, rows = [], bits.shape[1]
    within = [(bits[:, start : rows - 1 : 2], bits[:, start + 1 : rows : 2]) for start in (0, 1)]
    across = [(bits[start:-1:2], bits[start + 1 :: 2]) for start in (0, 1)]
    for pairs, what in ((within, "the next sample"), (across, "the next call")):
        tied = NONE
        for one, two in pairs:
            tied = min(tied, _strongest(one.reshape(-1, len(chosen)), two.reshape(-1, len(chosen)), chosen, what))
        found.append(tied)
    return found[0], found[1]


def _strongest(one: Any, two: Any, chosen: Any, what: str) -> Tied:
    """Of all channels of ``one`` with all of ``two``: (pairs, channels) each."""
    one, two = one[:_ROWS].astype(np.float32), two[:_ROWS].astype(np.float32)
    n = len(one)
    if n < _LEAST:
        return NONE
    a, b = one.sum(axis=0), two.sum(axis=0)
    over = one.T @ two - np.outer(a, b / n)
    spread = np.outer(a * (n - a), b * (n - b)) / (n * n * (n - 1))
    total = float(spread.sum())
    if not total or abs(float(over.sum())) > _SHIFT * math.sqrt(total):
        return NONE
    score = np.abs(over) / np.sqrt(np.where(spread > 0, spread, np.inf))
    at = np.unravel_index(int(np.argmax(score)), score.shape)
    if score[at] < _SCORE:
        return NONE
    i, j = (int(k) for k in at)
    both = np.array([round(float(one[:, i] @ two[:, j]))])
    table = np.array([n]), np.array([round(float(a[i]))]), np.array([round(float(b[j]))]), both
    log = float(association.association_many(*table)[0]) + math.log10(2 * score.size)
    rho = association.correlation(*table)
    text = f"channel {chosen[i]} and channel {chosen[j]} of {what} have correlation {rho:+.3f} in {n} pairs, expected 0"
    return min(0.0, log), text, rho
