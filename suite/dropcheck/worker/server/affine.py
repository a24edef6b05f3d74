"""Self-normalizing dropout: its coefficients exactly, and the interval of what a right layer may compute for them.

A dropped element becomes a * alpha' + b, a kept one a * x + b, with alpha' = -scale * alpha of SELU, a = ((1 - rate) *
(1 + rate * alpha'^2))^(-1/2) and b = -a * rate * alpha' (Klambauer, Unterthiner, Mayr, Hochreiter: Self-Normalizing Neural
Networks, arXiv:1706.02515, section 3, with mean 0 and variance 1).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Optional, Tuple

from dropcheck.contract.promise import SELU_ALPHA, SELU_SCALE

Interval = Tuple[Fraction, Fraction]

ALPHA = -Fraction(SELU_ALPHA) * Fraction(SELU_SCALE)  # alpha' of the paper, about -1.7581
GRAIN = 1 << 200  # roots are found, and intervals rounded outwards, to multiples of 2**-200: 60 digits


def _root(value: Fraction) -> Interval:
    """The square root, from below and from above."""
    floor = math.isqrt(value.numerator * GRAIN * GRAIN // value.denominator)
    return Fraction(floor, GRAIN), Fraction(floor + 1, GRAIN)


def _outwards(low: Fraction, high: Fraction) -> Interval:
    """The interval with short fractions as its ends."""
    return Fraction(math.floor(low * GRAIN), GRAIN), Fraction(math.ceil(high * GRAIN), GRAIN)


def rounded(interval: Interval, u: Fraction, times: int = 1) -> Interval:
    """What the interval may come to after ``times`` roundings, each of relative error at most u."""
    low, high = interval
    for _ in range(times):
        low, high = min(low * (1 - u), low * (1 + u)), max(high * (1 - u), high * (1 + u))
    return _outwards(low, high)


def product(one: Interval, two: Interval) -> Interval:
    """All products of a number of each interval."""
    ends = [a * b for a in one for b in two]
    return min(ends), max(ends)


def _plus(one: Interval, two: Interval) -> Interval:
    return one[0] + two[0], one[1] + two[1]


def factor(rate: float) -> Fraction:
    """a, to 55 digits. ZeroDivisionError at rate 1."""
    r = Fraction(rate)
    return 1 / _root((1 - r) * (1 + r * ALPHA**2))[0]


def offset(rate: float) -> Fraction:
    """b, to 55 digits. ZeroDivisionError at rate 1."""
    return -factor(rate) * Fraction(rate) * ALPHA


def dropped(rate: float) -> Fraction:
    """a * alpha' + b, to 55 digits; 0 at rate 1, which is its limit there."""
    return Fraction(0) if rate == 1 else factor(rate) * ALPHA * (1 - Fraction(rate))


@lru_cache(maxsize=256)
def computed(rate: float, digits: int) -> Optional[Tuple[Interval, Interval, Interval]]:
    """What an ordinary right layer may compute for a, b and the dropped value, in significands of ``digits`` bits.

    Every number of the formula (rate, alpha', its square, every product, sum, root and quotient) is rounded once, as in
    ``rounding.relative_bound``: interval arithmetic on the standard model, so higher orders are included. Computing
    in more digits, and rounding the coefficients only, lies inside, fused or not. None where 1 - rate may be rounded to 0.

    For a dropped element, a * alpha' and b nearly cancel at high rates. Layers compute both from one a, which is then a
    common factor, and each is rounded again: a * alpha' * (1 (1+d)^3 - rate (1+d)^4).
    """
    u = Fraction(1, 1 << digits)
    exact = Fraction(rate), Fraction(rate)
    r, alpha = rounded(exact, u), rounded((ALPHA, ALPHA), u)
    keep = rounded((1 - r[1], 1 - r[0]), u)
    if keep[0] <= 0:
        return None
    square = rounded(product(alpha, alpha), u)
    second = rounded(_plus((Fraction(1), Fraction(1)), rounded(product(r, square), u)), u)
    below = rounded(product(keep, second), u)
    a = rounded((1 / _root(below[1])[1], 1 / _root(below[0])[0]), u, 2)
    b = rounded(product(rounded(product(a, (-alpha[1], -alpha[0])), u), r), u)
    one, other = rounded((Fraction(1), Fraction(1)), u, 3), rounded(exact, u, 4)
    gone = rounded(product(product(a, alpha), (one[0] - other[1], one[1] - other[0])), u)
    return a, b, gone
