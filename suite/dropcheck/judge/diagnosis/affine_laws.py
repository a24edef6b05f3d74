"""Values of dropout that goes on with a constant (feature alpha dropout): the constant and the rate that they follow in fact."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dropcheck.judge.diagnosis.seen import case_of, shown
from dropcheck.results.audit import Finding
from dropcheck.worker.server import affine, rounding

_ALPHA = float(affine.ALPHA)  # what a dropped element becomes before a and b
_ENOUGH = 4  # values that a law has to give
_ROOM = 40  # roundings by which a value may be off a law


@dataclass(frozen=True)
class _Value:
    """One wrong value; ``decisions`` of its call where that is known, else 0."""

    rate: float
    given: float
    output: float
    u: float
    decisions: int


def sentence(some: Sequence[Finding]) -> tuple[str, str] | None:
    """What all wrong values follow, and the fix; None where neither the constant nor the rate explains them."""
    values = _values(some)
    if len(values) < _ENOUGH or len({v.rate for v in values}) < 2:
        return None
    if all(_near(v, _factor(v.rate, _ALPHA) * (-_ALPHA - v.rate * _ALPHA)) for v in values):  # whatever the input is
        one = values[0]
        text = f"dropped elements become {shown(one.output)} at rate {one.rate:g}, expected {shown(_dropped(one.rate, _ALPHA))}: "
        text += "alpha' has the wrong sign"
        return text, "Give what is dropped the value alpha' = -scale * alpha of SELU, about -1.7581, before a and b."
    constant = _constant(values)
    if constant is not None:
        text = f"dropped elements become {shown(constant)} before the affine step instead of {shown(_ALPHA)}, and a and b follow "
        text += "from that value"
        return text, "Use alpha' = -scale * alpha of SELU, about -1.7581, for what is dropped and for a and b."
    if _realised(values):
        text = "a and b follow from the share of elements that the call keeps instead of from the rate"
        return text, "Compute a and b from the rate."
    return None


def _values(some: Iterable[Finding]) -> list[_Value]:
    found = []
    for one in some:
        case, seen = case_of(one.case), one.tallies.get("example")
        if not isinstance(seen, dict) or case.rate is None or not 0 < case.rate < 1 or not case.dtype:
            continue
        given, output = float(seen["input"]), float(seen["output"])
        if not math.isfinite(output):
            continue
        size = 0 if case.batches or case.rows is None or case.channels is None else case.rows * case.channels
        found.append(_Value(case.rate, given, output, rounding.unit_roundoff(case.dtype), size))
    return found


def _factor(rate: float, constant: float) -> float:
    return float(((1 - rate) * (1 + rate * constant * constant)) ** -0.5)


def _dropped(rate: float, constant: float) -> float:
    return _factor(rate, constant) * constant * (1 - rate)


def _kept(rate: float, constant: float, given: float) -> float:
    return _factor(rate, constant) * (given - rate * constant)


def _near(one: _Value, value: float) -> bool:
    return abs(one.output - value) <= _ROOM * one.u * (1 + abs(one.given))


def _constant(values: Sequence[_Value]) -> float | None:
    """The one constant that, in place of the declared one, gives every value: dropped ones and kept ones."""
    for first in values:
        below = 1 - first.rate - first.rate * first.output**2
        if below <= 0:
            continue
        constant = math.copysign(abs(first.output) / math.sqrt(below), first.output)
        if abs(constant - _ALPHA) < 1e-4:
            continue
        fell = [one for one in values if _near(one, _dropped(one.rate, constant))]
        rest = [one for one in values if one not in fell]
        if len(fell) >= 2 and all(_near(one, _kept(one.rate, constant, one.given)) for one in rest):
            return constant
    return None


def _realised(values: Sequence[_Value]) -> bool:
    """Whether each value follows from a rate that is a whole number of the drop decisions of its call, and not the asked one."""
    counted = [one for one in values if 16 <= one.decisions <= 20_000 and one.u < 1e-6 and abs(one.given) < 10]
    solved = other = 0
    for one in counted:
        shares = [s for law in (_fell, _stayed) if (s := _solved(one, law)) is not None]
        whole = [s for s in shares if abs(s * one.decisions - round(s * one.decisions)) < 0.06]
        if shares and not whole:
            return False
        solved += bool(shares)  # near an extreme of the law two rates give a value, and none is found
        other += bool(shares) and all(abs(s - one.rate) * one.decisions > 0.5 for s in whole)
    return solved >= max(_ENOUGH, 0.8 * len(counted)) and other >= solved // 2


def _fell(one: _Value, rate: float) -> float:
    return _dropped(rate, _ALPHA) - one.output


def _stayed(one: _Value, rate: float) -> float:
    return _kept(rate, _ALPHA, one.given) - one.output


def _solved(one: _Value, law: Callable[[_Value, float], float]) -> float | None:
    """The rate near the asked one, as near as chance brings a call, at which a law gives the value; None where none does."""
    room = 6 * math.sqrt(one.rate * (1 - one.rate) / one.decisions)
    low, high = max(0.0, one.rate - room), min(1 - 1e-9, one.rate + room)
    if law(one, low) * law(one, high) > 0:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        if law(one, low) * law(one, middle) <= 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2
