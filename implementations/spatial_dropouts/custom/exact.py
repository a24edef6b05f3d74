"""What a kept element is divided by, as exactly as a dtype can hold it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Tuple

import numpy as np


def kept(rate: float) -> float:
    """What a kept element is divided by; at rate 1 everything is dropped, and nothing may be divided by 0."""
    return 1.0 - rate if rate < 1 else 1.0


def fraction(rate: float) -> Tuple[float, float]:
    """Two numbers whose quotient is 1 / (1 - rate), but for an eighth of a rounding of float64 or less; (1, 1) at rate 1.

    1 - rate itself is off by up to half a rounding. The first is above 1/2 and the second in (1/2, 1], so that the product with the
    first neither vanishes nor overflows before the result does.
    """
    factor = 1 / (1 - Fraction(rate)) if rate < 1 else Fraction(1)
    near = factor.limit_denominator(max(1, 2**53 // math.ceil(factor)))
    unit = 2 ** (near.denominator - 1).bit_length()
    return near.numerator / unit, near.denominator / unit


def in_two(rate: float, dtype: Any) -> Tuple[float, float]:
    """Two numbers of float32 or float64 whose sum is 1 / (1 - rate), but for a last rounding of the second.

    Both are at least 0, so that Inf times them is Inf.
    """
    factor, kind = 1 / (1 - Fraction(rate)) if rate < 1 else Fraction(1), np.dtype(dtype).type
    most = kind(float(factor))
    if Fraction(float(most)) > factor:
        most = np.nextafter(most, kind(0))
    return float(most), float(kind(float(factor - Fraction(float(most)))))


def probability(rate: float) -> float:
    """The rate as a float. Raises ValueError unless it lies in [0, 1]."""
    if not 0 <= rate <= 1:  # written so, NaN is refused too
        raise ValueError(f"rate is a probability from 0 to 1, not {rate!r}")
    return float(rate)
