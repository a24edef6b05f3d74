"""Which elements of one output were dropped: element by element, and which of them cannot be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench
from dropcheck.judge.checks.exact_questions import Values, by_coin, dropped, kept_bounds
from dropcheck.results.audit import NOT_INTERPRETABLE

Marks = NDArray[np.bool_]

WHOLE, KEPT = "mask.whole-channels", "scale.kept-values"
UNSEEN = "not visible: each drop decision covers one element, and no seed repeats the mask"


@dataclass(frozen=True)
class Seen:
    """``gone``: the elements that were dropped, where ``known``; both in the input's shape."""

    gone: Marks
    known: Marks


def follows(check: str, what: str = "") -> str:
    """The words of a finding that is not judged because a more basic check fails; ``what``: what was seen all the same."""
    return f"{NOT_INTERPRETABLE} {check} fails" + (f": {what}" if what else "")


def columns(pattern: Pattern, x: Values) -> Any:
    """Flat places of the elements of each coin: (coins, elements of a coin)."""
    return by_coin(pattern, np.arange(x.size).reshape(x.shape))


def seen(bench: Bench, x: Values, y: Values, rate: float, dtype: str) -> Seen:
    """What one output shows of its coins, without taking for granted that elements share one.

    An element whose input is not 0 shows by itself whether it was dropped; where another value than 0 is promised for dropped
    ones, only if it is the dropped value or a right kept one, and not both. Of the others (an input of 0) the coin is known
    from the elements that share it, if those of no coin disagree.
    """
    gone = dropped(y, bench, rate, dtype)
    known = x != 0
    if bench.contract.dropped != 0:
        known &= gone != right_values(bench, x, y, rate, dtype)
    places = columns(bench.contract.pattern, x)
    flat_gone, flat_known = gone.ravel().copy(), known.ravel().copy()
    told, fell = flat_known[places], flat_gone[places]
    some, all_gone, none_gone = told.any(axis=1), (fell | ~told).all(axis=1), (~fell | ~told).all(axis=1)
    whole = bool((all_gone | none_gone)[some].all())
    hidden = ~told & (x.ravel()[places] == 0)
    flat_gone[places] = np.where(hidden, all_gone[:, None], fell)
    flat_known[places] = told | (hidden & some[:, None]) if whole else told
    return Seen(flat_gone.reshape(x.shape), flat_known.reshape(x.shape))


def right_values(bench: Bench, x: Values, y: Values, rate: float, dtype: str) -> Marks:
    """Which elements have the value that a kept one has under the contract."""
    if not bench.contract.keeps_at(rate):
        return np.zeros(x.shape, bool)
    low, high = kept_bounds(bench.contract, x, rate, dtype, of=y)
    with np.errstate(invalid="ignore"):
        return np.asarray((y >= low) & (y <= high))


def repeats(one: Marks, other: Marks, where: Marks) -> bool:
    """Whether two calls show the same coins at the elements ``where``, and that cannot be chance.

    Independent coins of rate p agree with probability 1 - 2 p (1 - p), n of them with its n-th power: below 10^-12.
    """
    chosen = one[where]
    if not chosen.size or not np.array_equal(chosen, other[where]):
        return False
    p = float(chosen.mean())
    return chosen.size * math.log10(1 - 2 * p * (1 - p)) < -12


def nonfinite_words(values: Values) -> str:
    """How many of the values are NaN and how many Inf: ``12 NaN, 3 Inf``; empty where none is."""
    counts = (("NaN", int(np.isnan(values).sum())), ("Inf", int(np.isinf(values).sum())))
    return ", ".join(f"{n} {name}" for name, n in counts if n)


def small_values(dtype: str) -> Values:
    """Magnitudes from the least normal number of the dtype, 16-fold, up to .1: what a right layer scales as any other."""
    least = {"float64": -1022, "float16": -14}.get(dtype, -126)
    exponents = np.linspace(least + 4, -4, 8).round()
    return np.asarray(np.ldexp(1.25, exponents.astype(int)), dtype=np.float64)


def large_values(dtype: str) -> Values:
    """Magnitudes from 16 up to a sixth of the largest number of float16, a 64th of that of wider dtypes."""
    most = {"float64": 1017, "float16": 13}.get(dtype, 121)
    exponents = np.linspace(4, most, 4).round()
    return np.asarray(np.ldexp(1.25, exponents.astype(int)), dtype=np.float64)
