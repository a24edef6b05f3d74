"""Masks that come again in another form: inverted, or with their channels or samples in reverse order.

Looked for in the first coins of a case. The chance of what is said here, over all pairs, forms and lags, is below ``CERTAIN``:
it takes nothing from the share of any check.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import CERTAIN, MOST_CALLS, agreement, calls_of
from dropcheck.count.gathered import Gathered
from dropcheck.statistics.binomial import log10_two_sided_many

# A mask may come again in another form. Each form: what it is, and whether coins are inverted, channels and samples turned round.
FORMS = (
    ("with its channels in reverse order", False, True, False),
    ("inverted", True, False, False),
    ("inverted, with its channels in reverse order", True, True, False),
    ("with its samples in reverse order", False, False, True),
    ("with its samples and its channels in reverse order", False, True, True),
    ("inverted, with its samples in reverse order", True, False, True),
    ("inverted, with its samples and its channels in reverse order", True, True, True),
)
_FORM_COINS = 1 << 22  # coins of the first calls that are turned round, at most
_FORM_LAGS = 8  # calls up to so far apart are held against each other in other forms


@dataclass(frozen=True)
class OtherForm:
    """Masks that come again in another form: the first such place and what it repeats, how many there are, in how many calls.

    ``log10_p``: log10 of a bound of the chance of any, over all pairs, forms and lags.
    """

    form: str
    one: int
    two: int
    found: int
    of: int
    calls: int
    log10_p: float


def rows_in_other_form(got: Gathered) -> OtherForm | None:
    """Rows of a call that in every one of the first calls are another row turned round or inverted; None: none is, beyond chance.

    As in ``rows_alike`` nothing is assumed of the coins of one row: two rows that are independent of each other agree in a call at
    most as often as one coin of them does, p^2 + q^2 or, inverted, 2 p q.
    """
    calls = calls_of(got)
    if calls is None or calls.shape[1] < 2 or got.tally.channels < 2:
        return None
    calls = np.unique(calls[: max(4, _FORM_COINS // (calls.shape[1] * got.tally.channels))], axis=0)
    bits = unpack(calls, got.tally.channels).transpose(1, 0, 2)  # by row
    still = (bits == bits[:, :1]).all(axis=(1, 2))  # alike by their rate, not by a coin
    rows = np.flatnonzero(~still)
    forms = [form for form in FORMS if not form[3]]
    pairs = math.log10(max(1, len(forms) * len(rows) ** 2))
    place = {bits[row].tobytes(): int(row) for row in rows[::-1]}
    for name, inverted, turned, _ in forms:
        usual = agreement(got, inverted)
        if pairs + len(calls) * usual > CERTAIN:
            continue
        other = bits[rows, :, ::-1] if turned else bits[rows]
        other = np.ascontiguousarray(1 - other if inverted else other)
        found = [
            (place[one], int(row))
            for row, one in zip(rows, map(np.ndarray.tobytes, other), strict=True)
            if one in place
        ]
        # rows with rates of their own agree oftener: two that are one in this form have one rate, or it and its complement
        rates = bits.mean(axis=(1, 2))
        likely = np.maximum(usual, np.log10(rates**2 + (1 - rates) ** 2))
        found = [(one, two) for one, two in found if one != two and pairs + len(calls) * likely[one] <= CERTAIN]
        if found:
            first = min(found, key=max)
            both = sorted({row for pair in found for row in pair})
            log = pairs + len(calls) * float(likely[both].max())
            return OtherForm(name, min(first), max(first), len(both), len(bits), len(calls), log)
    return None


def calls_in_other_form(got: Gathered) -> OtherForm | None:
    """Calls that are the call some calls before, turned round or inverted, too often; None: they are not.

    The number of such disjoint pairs is at most binomial, as in ``calls_alike``.
    """
    found = calls_of(got)
    if found is None or len(found) < 4:
        return None
    some = found[: min(MOST_CALLS, max(4, _FORM_COINS // (found.shape[1] * got.tally.channels)))]
    bits = unpack(some, got.tally.channels)
    best: OtherForm | None = None
    lags = min(_FORM_LAGS, len(bits) // 2)
    for name, inverted, turned, reversed_ in FORMS:
        if (turned and bits.shape[2] < 2) or (reversed_ and bits.shape[1] < 2):
            continue
        other = bits[:, ::-1] if reversed_ else bits
        other = other[:, :, ::-1] if turned else other
        other = 1 - other if inverted else other
        for lag, start in itertools.product(range(1, lags + 1), (0, 1)):  # a pair may begin at either of two calls
            index = np.arange(len(bits) - lag)
            first = index[(index // lag) % 2 == start]
            if not len(first):
                continue
            a, b = bits[first].mean(), bits[first + lag].mean()  # calls with rates of their own agree oftener
            agree = max(10 ** agreement(got, inverted), a + b - 2 * a * b if inverted else 1 - a - b + 2 * a * b)
            same = (bits[first] == other[first + lag]).all(axis=(1, 2))
            # a call of one kind throughout is turned round what it was: no form shows there
            if turned or reversed_:
                same &= ~(bits[first] == bits[first + lag]).all(axis=(1, 2))
            equal = int(same.sum())
            if equal > agree * len(first):
                log = float(log10_two_sided_many(equal, len(first), agree)) + math.log10(2 * len(FORMS) * lags)
                if log <= CERTAIN and (best is None or log < best.log10_p):
                    at = int(first[same.argmax()])
                    best = OtherForm(name, at, at + lag, equal, len(first), len(bits), log)
    return best
