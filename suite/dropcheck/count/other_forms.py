"""Masks that come again in another form: inverted, turned round, or, where calls are square, transposed.

Looked for in the first coins of a case. The chance of what is said here, over all pairs, forms and lags, is below ``CERTAIN``:
it takes nothing from the share of any check.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.count.coins import unpack
from dropcheck.count.copies import CERTAIN, MOST_CALLS, agreement, calls_of
from dropcheck.count.gathered import Gathered
from dropcheck.statistics.binomial import log10_two_sided_many


@dataclass(frozen=True)
class Form:
    """A form that a mask may come again in: whether coins are inverted, channels and samples turned round, and axes exchanged.

    ``transposed``: sample i has the coins of channel i, before anything is turned round.
    """

    name: str
    inverted: bool = False
    turned: bool = False
    backwards: bool = False
    transposed: bool = False

    def of(self, bits: Any) -> Any:
        """(..., rows, channels) of coins in this form."""
        bits = np.swapaxes(bits, -1, -2) if self.transposed else bits
        bits = bits[..., ::-1, :] if self.backwards else bits
        bits = bits[..., ::-1] if self.turned else bits
        return 1 - bits if self.inverted else bits


FORMS = (
    Form("with its channels in reverse order", turned=True),
    Form("inverted", inverted=True),
    Form("inverted, with its channels in reverse order", inverted=True, turned=True),
    Form("with its samples in reverse order", backwards=True),
    Form("with its samples and its channels in reverse order", turned=True, backwards=True),
    Form("inverted, with its samples in reverse order", inverted=True, backwards=True),
    Form("inverted, with its samples and its channels in reverse order", inverted=True, turned=True, backwards=True),
)
SQUARE_FORMS = tuple(
    Form(f"{before}transposed{after}", inverted, turned, backwards, True)
    for before, inverted in (("", False), ("inverted, ", True))
    for after, turned, backwards in (
        ("", False, False),
        (", with its channels in reverse order", True, False),
        (", with its samples in reverse order", False, True),
        (", with its samples and its channels in reverse order", True, True),
    )
)
_FORM_COINS = 1 << 22  # coins of the first calls that are turned round, at most
_FORM_CALLS = 160  # calls that rows are compared in: as many as make chance negligible at rates from .3 to .7
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
    most = _FORM_COINS // (calls.shape[1] * got.tally.channels)
    calls = calls[: max(4, min(_FORM_CALLS, most))]
    likely = min(agreement(got, inverted) for inverted in (False, True))
    if 2 * math.log10(calls.shape[1]) + len(calls) * likely > CERTAIN:
        return None
    calls = np.unique(calls, axis=0)  # equal calls are one replicate
    bits = unpack(calls, got.tally.channels).transpose(1, 0, 2)  # by row
    still = (bits == bits[:, :1]).all(axis=(1, 2))  # alike by their rate, not by a coin
    rows = np.flatnonzero(~still)
    forms = [form for form in FORMS if not form.backwards]
    pairs = math.log10(max(1, len(forms) * len(rows) ** 2))
    place = {bits[row].tobytes(): int(row) for row in rows[::-1]}
    for form in forms:
        usual = agreement(got, form.inverted)
        if pairs + len(calls) * usual > CERTAIN:
            continue
        other = np.ascontiguousarray(form.of(bits[rows]))
        found = [
            (place[one], int(row))
            for row, one in zip(rows, map(np.ndarray.tobytes, other), strict=True)
            if one in place
        ]
        found = [(one, two) for one, two in found if one != two]
        if found:
            # rows with rates of their own agree oftener: two that are one in this form have one rate, or it and its complement
            rates = bits.mean(axis=(1, 2))
            each = np.maximum(usual, np.log10(rates**2 + (1 - rates) ** 2))
            found = [pair for pair in found if pairs + len(calls) * each[pair[0]] <= CERTAIN]
        if found:
            first = min(found, key=max)
            both = sorted({row for pair in found for row in pair})
            log = pairs + len(calls) * float(each[both].max())
            return OtherForm(form.name, min(first), max(first), len(both), len(bits), len(calls), log)
    return None


def calls_in_other_form(got: Gathered) -> OtherForm | None:
    """Calls that are the call some calls before, turned round or inverted, too often; None: they are not.

    The number of such disjoint pairs is at most binomial, as in ``calls_alike``.
    """
    found = calls_of(got)
    if found is None or len(found) < 4:
        return None
    some = found[: min(MOST_CALLS, max(4, _FORM_COINS // (found.shape[1] * got.tally.channels)))]
    # what a whole call is in another form, its first and last samples are, or the channels that they come from
    ends = unpack(some[:, [0, -1]], got.tally.channels)
    plain, drops = _keys(ends), np.bitwise_count(some).sum(axis=(1, 2))
    sides: Any = None
    best: OtherForm | None = None
    for form in FORMS if some.shape[1] != got.tally.channels else (*FORMS, *SQUARE_FORMS):
        if (form.turned and ends.shape[2] < 2) or (form.backwards and some.shape[1] < 2):
            continue
        if form.transposed and sides is None:
            sides = np.stack([unpack(one, got.tally.channels)[:, [0, -1]] for one in some])
        other = _keys(form.of(sides if form.transposed else ends))
        for lag in range(1, min(_FORM_LAGS, len(some) // 2) + 1):
            alike = np.flatnonzero((plain[:-lag] == other[lag:]).all(axis=1))
            for start in (0, 1) if len(alike) > 1 else ():
                first = alike[(alike // lag) % 2 == start]  # a pair may begin at either of two calls
                if len(first) < 2:
                    continue
                seen = _pairs_in_form(got, some, drops, form, lag, start, first)
                if seen is not None and (best is None or seen.log10_p < best.log10_p):
                    best = seen
    return best


def _keys(bits: Any) -> Any:
    """(calls, words) of 64 coins each, equal where all coins of (calls, ...) are."""
    packed = np.packbits(bits.reshape(len(bits), -1), axis=1)
    padded = np.zeros((len(bits), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def _pairs_in_form(
    got: Gathered, calls: Any, drops: Any, form: Form, lag: int, start: int, candidates: Any
) -> OtherForm | None:
    """Of all pairs of calls a lag apart those whose first and last samples agree in a form: whether too many agree as a whole.

    ``drops``: dropped coins of each call.
    """
    one, two = (unpack(calls[at], got.tally.channels) for at in (candidates, candidates + lag))
    same = (one == form.of(two)).all(axis=(1, 2))
    if form.turned or form.backwards or form.transposed:  # calls that are equal are no other form of each other
        same &= ~(one == two).all(axis=(1, 2))
    equal = int(same.sum())
    index = np.arange(len(calls) - lag)
    pairs = index[(index // lag) % 2 == start]
    coins = calls.shape[1] * got.tally.channels
    # calls with rates of their own agree oftener
    a, b = (float(drops[at].sum()) / (len(pairs) * coins) for at in (pairs, pairs + lag))
    agree = max(10 ** agreement(got, form.inverted), a + b - 2 * a * b if form.inverted else 1 - a - b + 2 * a * b)
    if equal <= agree * len(pairs):
        return None
    log = float(log10_two_sided_many(equal, len(pairs), agree)) + math.log10(
        2 * len((*FORMS, *SQUARE_FORMS)) * _FORM_LAGS
    )
    if log > CERTAIN:
        return None
    at = int(candidates[same.argmax()])
    return OtherForm(form.name, at, at + lag, equal, len(pairs), len(calls), log)


def squares_of_one_half(got: Gathered) -> OtherForm | None:
    """Square calls that are one of their own transposes, inverted or not, too often: half of their coins say the other half.

    A call that is independent of others is so at most as often as one coin off the diagonal agrees with its mirror image: the
    number of such calls is at most binomial.
    """
    calls = calls_of(got)
    if calls is None or calls.shape[1] != got.tally.channels or got.tally.channels < 8:
        return None
    calls = calls[: max(1, min(MOST_CALLS, _FORM_COINS // got.tally.channels**2))]
    bits = unpack(calls, got.tally.channels)
    for form in SQUARE_FORMS:
        if (
            form.turned != form.backwards
        ):  # a quarter turn: whole squares of four coins, told as transposes of transposes
            continue
        differ = bits != form.of(bits)
        axis = np.eye(bits.shape[1], dtype=bool)[:, ::-1] if form.turned else np.eye(bits.shape[1], dtype=bool)
        same = ~(differ & ~axis).any(axis=(1, 2))
        same &= bits.any(axis=(1, 2)) & ~bits.all(axis=(1, 2))
        equal, agree = int(same.sum()), 10 ** agreement(got, form.inverted)
        if equal <= agree * len(calls):
            continue
        log = float(log10_two_sided_many(equal, len(calls), agree)) + math.log10(len(SQUARE_FORMS))
        if log <= CERTAIN:
            at = int(same.argmax())
            return OtherForm(form.name, at, at, equal, len(calls), len(calls), log)
    return None
