"""Dtypes bit by bit: unit roundoffs, bfloat16 without a library, probe values, and the bounds of a right product."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, Optional, Tuple, Union

import numpy as np

from dropcheck.worker.server import affine

# significand bits (with the hidden one), and the integer type that carries the bits
PRECISION = {"float32": 24, "float64": 53, "float16": 11, "bfloat16": 8}
_BITS = {"float32": np.uint32, "float64": np.uint64, "float16": np.uint16, "bfloat16": np.uint16}
_NATIVE = {"float32": np.float32, "float64": np.float64, "float16": np.float16}


def unit_roundoff(dtype: str) -> float:
    """u, half the distance from 1 to the next number: 2**-24 for float32, 2**-8 for bfloat16."""
    return 2.0 ** -PRECISION[dtype]


def to_dtype(values: Any, dtype: str) -> Any:
    """float64 values rounded to ``dtype`` (nearest, ties to even); bfloat16 as uint16 bits, in its normal range."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(_NATIVE[dtype])
    # from float64 in one step: rounding to float32 first would round twice
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mantissa, exponent = np.frexp(wide)
        rounded = np.ldexp(np.rint(np.ldexp(mantissa, 8)), exponent - 8)
        bits = np.where(np.isfinite(wide), rounded, wide).astype(np.float32).view(np.uint32)
    return np.asarray(bits >> 16, dtype=np.uint16)


def to_float64(array: Any, dtype: str) -> Any:
    """The values of an array that an adapter returned (bfloat16 as bits), exactly, as float64."""
    if dtype == "bfloat16":
        return (np.asarray(array).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.asarray(array, dtype=np.float64)


def carrier(dtype: str) -> Any:
    """The unsigned integer type that carries the bits of one value."""
    return _BITS[dtype]


def native(dtype: str) -> Any:
    """NumPy's own type for the values, as a dtype; None where it has none."""
    return np.dtype(_NATIVE[dtype]) if dtype in _NATIVE else None


def bits(array: Any, dtype: str) -> Any:
    """The array's bit patterns as unsigned integers, contiguous."""
    return np.ascontiguousarray(array).view(_BITS[dtype])


def same_bits(a: Any, b: Any, dtype: str) -> bool:
    """Equal bit for bit, except that any NaN equals any NaN."""
    if a.shape != b.shape:
        return False
    one, two = bits(a, dtype), bits(b, dtype)
    if np.array_equal(one, two):
        return True
    different = one != two
    nan = np.isnan(to_float64(a, dtype)) & np.isnan(to_float64(b, dtype))
    return not bool(np.any(different.reshape(nan.shape) & ~nan))


@lru_cache(maxsize=64)
def pool(dtype: str, size: int, seed: int) -> Any:
    """``size`` float64 values exactly representable in ``dtype``: both signs, magnitudes 0.5 to 8, no powers of two.

    Distinct as far as the dtype has that many such values (bfloat16: 1016).
    """
    rng = np.random.default_rng(seed)
    digits = PRECISION[dtype] - 1
    low, high = 2**digits, 2 ** (digits + 1)
    if digits <= 10:
        every = np.array([m * 2.0 ** (e - digits) for e in (-1, 0, 1, 2) for m in range(low + 1, high)])
        every = np.concatenate([every, -every])
        order = rng.permutation(len(every))
        chosen = every[order[np.arange(size) % len(every)]]
    else:
        mantissa = rng.integers(low + 1, high, size=size)
        sign = np.where(rng.random(size) < 0.5, -1.0, 1.0)
        chosen = sign * mantissa.astype(np.float64) * 2.0 ** (rng.integers(-1, 3, size=size) - digits)
    chosen.setflags(write=False)
    return chosen


def relative_bound(rate: float, scale: Union[str, float], dtype: str) -> Fraction:
    """Largest relative forward error of an ordinary right layer, exactly, higher-order terms included.

    Computed: r' = r(1+d1), k = (1-r')(1+d2), q = (1/k)(1+d3), y = xq(1+d4) with each |d| <= u; so
    |y/(x/(1-r)) - 1| <= (1+u)^2 / ((1-u)(1 - u r/(1-r))) - 1, about u(3 + r/(1-r)). (Standard model of floating-point
    arithmetic, Higham, Accuracy and Stability, 2.2.) A declared constant scale is one rounding of it and one product;
    ``"keep"``, the factor 1 - r of an inference, is r' and k of the above and one product.
    """
    u = Fraction(1, 2 ** PRECISION[dtype])
    if scale == "keep":
        return (1 + u) ** 2 * (1 + u * Fraction(rate) / (1 - Fraction(rate))) - 1
    if scale != "inverted":
        return (1 + u) ** 2 - 1
    r = Fraction(rate)
    spread = u * r / (1 - r)
    if spread >= 1:
        # the divisor itself can round to 0: any finite value is a right one
        return Fraction(2) ** 64
    return (1 + u) ** 2 / ((1 - u) * (1 - spread)) - 1


def exact_scale(rate: float, scale: Union[str, float]) -> Fraction:
    """The factor of kept values as an exact fraction of the float that was asked for (of alpha dropout to 55 digits)."""
    if scale == "inverted":
        return 1 / (1 - Fraction(rate))
    if scale == "alpha":
        return affine.factor(rate)
    if scale == "keep":
        return 1 - Fraction(rate)
    # of a realised scale outputs are read with that scale taken out: see worker/server/realised.py
    return Fraction(1) if scale in ("none", "realised") else Fraction(float(scale))


def exact_offset(rate: float, offset: Union[str, float]) -> Fraction:
    """What is added to scaled kept values, as ``exact_scale``."""
    return affine.offset(rate) if offset == "alpha" else Fraction(float(offset))


def coefficients(
    rate: float, scale: Union[str, float], offset: Union[str, float], dtype: str
) -> Optional[Tuple[affine.Interval, affine.Interval]]:
    """What an ordinary right layer may compute for the factor and the offset; None where its dtype sets no bound.

    Numbers are rounded once; of alpha dropout see ``affine.computed``; 1 / (1 - rate) has ``relative_bound``.
    """
    u = Fraction(1, 2 ** PRECISION[dtype])
    known = affine.computed(rate, PRECISION[dtype]) if "alpha" in (scale, offset) else None
    if "alpha" in (scale, offset) and known is None:
        return None
    if scale == "alpha":
        assert known is not None
        a = known[0]
    else:
        right = exact_scale(rate, scale)
        spread = relative_bound(rate, scale, dtype)
        a = min(right * (1 - spread), right * (1 + spread)), max(right * (1 - spread), right * (1 + spread))
    if offset == "alpha":
        assert known is not None
        return a, known[1]
    given = exact_offset(rate, offset)
    return a, affine.rounded((given, given), u)


def dropped_bounds(rate: float, dropped: Union[str, float], dtype: str) -> Tuple[float, float]:
    """Least and greatest right value of a dropped element: (0, 0) for 0; four roundings for a layer's own constant.

    Infinite ends where a dropped value of alpha dropout has no bound in this dtype at this rate.
    """
    if dropped != "alpha":
        constant = float(dropped)
        reach = abs(constant) * 4 * unit_roundoff(dtype)
        return constant - reach, constant + reach
    if rate == 1:
        return 0.0, 0.0
    known = affine.computed(rate, PRECISION[dtype])
    if known is None:
        return -math.inf, math.inf
    return math.nextafter(float(known[2][0]), -math.inf), math.nextafter(float(known[2][1]), math.inf)


def is_dropped(values: Any, gone: Tuple[float, float]) -> Any:
    """Which values (float64) lie within ``dropped_bounds``; -0.0 counts as 0."""
    with np.errstate(invalid="ignore"):
        return (values >= gone[0]) & (values <= gone[1])


def bounds(
    values: Any, rate: float, scale: Union[str, float], dtype: str, offset: Union[str, float] = 0.0
) -> Tuple[Any, Any]:
    """Least and greatest right output (float64) for each kept input value, from exact fractions, rounded outwards."""
    if scale == "alpha" or offset != 0:
        return _affine_bounds(values, rate, scale, offset, dtype)
    factor = exact_scale(rate, scale)
    allowed = relative_bound(rate, scale, dtype)
    if dtype != "float64":
        # float64 has 29 more bits than float32: products in it, widened by eight of its units, are rigorous bounds
        wide = np.asarray(values, dtype=np.float64)
        slack_up = float(allowed) + 2.0**-50
        right_wide = wide * float(factor)
        return right_wide - np.abs(right_wide) * slack_up, right_wide + np.abs(right_wide) * slack_up
    flat = np.asarray(values, dtype=np.float64).ravel()
    low, high = np.empty_like(flat), np.empty_like(flat)
    least, most = factor * (1 - allowed), factor * (1 + allowed)
    for i, value in enumerate(flat.tolist()):
        if not value:
            low[i] = high[i] = 0.0
            continue
        # a quotient of two integers is rounded once; for negative values and factors the two bounds change places
        over, under = value.as_integer_ratio()
        ends = [over * f.numerator / (under * f.denominator) for f in (least, most)]
        low[i], high[i] = math.nextafter(min(ends), -math.inf), math.nextafter(max(ends), math.inf)
    return low.reshape(np.shape(values)), high.reshape(np.shape(values))


def realised_bound(kept: int, dtype: str) -> float:
    """Largest relative error of an ordinary right factor elements / kept, and of the product with it.

    The count, the quotient and two products are rounded, each to the dtype: 4 u. The reciprocal of a count in float16 is below
    its normal numbers and loses up to 4 u more (2^-25 of 1 / 65504). Layers add a guard against 0 to the count, of one
    millionth of an element; twice that is allowed.
    """
    return (1 + unit_roundoff(dtype)) ** 8 - 1 + 2e-6 / max(1, kept)


def realised_bounds(values: Any, elements: int, kept: int, dtype: str) -> Tuple[Any, Any]:
    """``bounds`` of x times elements / kept, see ``realised_bound``."""
    wide = np.asarray(values, dtype=np.float64)
    right = wide * (elements / max(1, kept))
    room = np.abs(right) * (realised_bound(kept, dtype) + 2.0**-50)
    return right - room, right + room


def _affine_bounds(
    values: Any, rate: float, scale: Union[str, float], offset: Union[str, float], dtype: str
) -> Tuple[Any, Any]:
    """``bounds`` of x * a + b: a and b within ``coefficients``, the product rounded or not (fused), the sum rounded."""
    wide = np.asarray(values, dtype=np.float64)
    known = coefficients(rate, scale, offset, dtype)
    if known is None:
        return np.full_like(wide, -math.inf), np.full_like(wide, math.inf)
    a, b = known
    u = Fraction(1, 2 ** PRECISION[dtype])
    if dtype != "float64":
        # as in bounds: float64 widened by eight units of all that is added bounds rigorously
        ends = [wide * float(end) for end in a]
        low, high = np.minimum(*ends), np.maximum(*ends)
        reach = np.maximum(np.abs(low), np.abs(high)) + max(abs(float(b[0])), abs(float(b[1])))
        low, high = low - np.abs(low) * float(u) + float(b[0]), high + np.abs(high) * float(u) + float(b[1])
        if any(b):
            low, high = low - np.abs(low) * float(u), high + np.abs(high) * float(u)
        return low - reach * 2.0**-50, high + reach * 2.0**-50
    low, high = np.empty(wide.size), np.empty(wide.size)
    # in whole numbers, which divide into a rightly rounded float: Fractions would reduce at every step
    grain, units = affine.GRAIN, 2 ** PRECISION[dtype]
    factors = [math.floor(a[0] * grain), math.ceil(a[1] * grain)]
    offsets = [math.floor(b[0] * grain), math.ceil(b[1] * grain)]
    sums = offsets != [0, 0]
    for i, value in enumerate(wide.ravel().tolist()):
        over, under = value.as_integer_ratio()
        least, most = sorted(over * end for end in factors)
        least, most = least * units - abs(least), most * units + abs(most)
        below = grain * units * under
        if sums:
            least, most = least + offsets[0] * units * under, most + offsets[1] * units * under
            least, most, below = least * units - abs(least), most * units + abs(most), below * units
        low[i], high[i] = math.nextafter(least / below, -math.inf), math.nextafter(most / below, math.inf)
    return low.reshape(wide.shape), high.reshape(wide.shape)


def residuals(
    values: Any, outputs: Any, rate: float, scale: Union[str, float], offset: Union[str, float], dtype: str
) -> Any:
    """output - (x * scale + offset) of each kept value, from exact fractions, as float64."""
    factor, added = exact_scale(rate, scale), exact_offset(rate, offset)
    if dtype != "float64":  # errors are 2**-24 or more, float64 knows them to 2**-51
        right = np.asarray(values, dtype=np.float64) * float(factor) + float(added)
        return np.asarray(outputs, dtype=np.float64) - right
    pairs = zip(np.asarray(values).tolist(), np.asarray(outputs).tolist())
    return np.array(
        [float(Fraction(y) - Fraction(x) * factor - added) if math.isfinite(y) else math.nan for x, y in pairs]
    )


def relative_errors(values: Any, outputs: Any, rate: float, scale: Union[str, float], dtype: str) -> Any:
    """(output - exact) / exact of each kept value, from exact fractions, as float64."""
    factor = exact_scale(rate, scale)
    if dtype != "float64":  # errors are 2**-24 or more, float64 knows them to 2**-52
        right = np.asarray(values, dtype=np.float64) * float(factor)
        return (np.asarray(outputs, dtype=np.float64) - right) / right
    result = np.empty(len(values))
    for i, (value, output) in enumerate(zip(np.asarray(values).tolist(), np.asarray(outputs).tolist())):
        if not math.isfinite(output):
            result[i] = math.nan
            continue
        # in whole numbers, whose quotient is rounded once: Fractions would reduce at every step
        (over, under), (above, below) = value.as_integer_ratio(), output.as_integer_ratio()
        exact = over * factor.numerator * below
        result[i] = (above * under * factor.denominator - exact) / exact
    return result
