"""What is known of values in a jaxpr: constants, uniform numbers of one draw, and masks that are such numbers compared.

It follows a draw to the rate at which it drops: ``select(uniform < 0.7, x / 0.7, 0)`` drops at 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, FrozenSet, Iterable, List, Optional, Tuple

import numpy as np

_SAME = (
    "broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "copy", "copy_p", "stop_gradient", "slice",
    "optimization_barrier", "sharding_constraint", "device_put", "reduce_precision", "rev", "dynamic_slice", "gather",
)  # fmt: skip
_SWAPPED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
_BITS = ("shift_right_logical", "or", "and", "xor", "shift_left", "convert_element_type")


@dataclass(frozen=True)
class Value:
    """``draws`` that it depends on; ``number``: a constant, one number; ``uniform``: draw, lower and upper end;
    ``mask``: draw, and the probability of not being 0; ``bits``: a draw's raw bits; ``same``: a digest, equal for equal numbers."""

    draws: FrozenSet[int] = frozenset()
    number: Optional[float] = None
    uniform: Optional[Tuple[int, float, float]] = None
    mask: Optional[Tuple[int, float]] = None
    bits: Optional[int] = None
    same: str = ""

    @classmethod
    def of(cls, constant: Any) -> Value:
        """Of a constant of any type: known where it is one number. An array may be a sample input that happens to be ones."""
        if int(getattr(constant, "size", 1)) != 1:
            return cls()
        try:
            some = np.asarray(constant, "float64").ravel()
        except Exception:  # a random key, a token
            return cls()
        return cls(number=float(some[0])) if some.size == 1 else cls()


def joined(values: Iterable[Value]) -> Value:
    """One of several: the draws of all."""
    some = [v.draws for v in values]
    return Value(frozenset().union(*some) if some else frozenset())


def result(
    eqn: Any, given: List[Value], masked: Callable[[int], None], rated: Callable[[int, float], None]
) -> List[Value]:
    """The values that an equation makes. ``masked`` is told of draws that are compared, ``rated`` of draws that drop."""
    name = eqn.primitive.name
    whole = joined(given)
    if len(eqn.outvars) != 1 or not given:
        return [whole for _ in eqn.outvars]
    if name == "select_n":
        return [_selected(given, whole, rated)]
    made = _one(name, eqn, given, masked, rated)
    return [whole if made is None else replace(made, draws=whole.draws)]


def computed(
    name: str, given: List[Value], masked: Callable[[int], None], rated: Callable[[int, float], None]
) -> Value:
    """The value that an operation makes outside of a jaxpr. ``name``: as a jaxpr calls it; see ``result``."""
    whole = joined(given)
    if name == "select_n":
        return _selected(given, whole, rated)
    made = _one(name, None, given, masked, rated)
    return whole if made is None else replace(made, draws=whole.draws)


def _one(name: str, eqn: Any, given: List[Value], masked: Any, rated: Any) -> Optional[Value]:
    first = given[0]
    if name in _SAME or (name == "convert_element_type" and not _whole(eqn, first)):
        return first
    if name in _BITS and (first.bits is not None or (len(given) > 1 and given[1].bits is not None)):
        return Value(bits=first.bits if first.bits is not None else given[1].bits)
    if name == "bitcast_convert_type":
        floating = np.issubdtype(np.dtype(eqn.params["new_dtype"]), np.floating) or "float" in str(
            eqn.params["new_dtype"]
        )
        return Value(uniform=(first.bits, 1.0, 2.0)) if first.bits is not None and floating else None
    if name in _SWAPPED:
        return _compared(name, given, masked)
    if name in ("floor", "convert_element_type") and first.uniform is not None:
        draw, low, high = first.uniform
        if 0 <= low < 1 <= high <= 2:
            masked(draw)
            return Value(mask=(draw, (high - 1) / (high - low)))
        return None
    if name in ("not", "eq", "ne") and first.mask is not None:
        turned = name == "not" or (name == "eq") == (len(given) > 1 and given[1].number == 0)
        return Value(mask=(first.mask[0], 1 - first.mask[1])) if turned else first
    if name == "neg":
        return _arithmetic("sub", Value(number=0.0), first, rated)
    if len(given) == 2 and name in ("add", "sub", "mul", "div", "max", "min"):
        return _arithmetic(name, given[0], given[1], rated)
    return None


def _whole(eqn: Any, value: Value) -> bool:
    """Whether uniform numbers are cut to whole ones."""
    return value.uniform is not None and value.bits is None and "int" in str(eqn.params["new_dtype"])


def _compared(name: str, given: List[Value], masked: Any) -> Optional[Value]:
    left, right = given
    if left.uniform is None:
        left, right, name = right, left, _SWAPPED[name]
    if left.uniform is None or right.number is None:
        return None
    draw, low, high = left.uniform
    below = min(1.0, max(0.0, (right.number - low) / (high - low))) if high != low else 0.0
    masked(draw)
    return Value(mask=(draw, below if name in ("lt", "le") else 1 - below))


def _arithmetic(name: str, a: Value, b: Value, rated: Any) -> Optional[Value]:
    if a.number is not None and b.number is not None:
        return Value(number=_computed(name, a.number, b.number))
    if name in ("mul", "div"):
        for one, other in ((a, b), (b, a)) if name == "mul" else ((a, b),):
            if one.mask is None:
                continue
            if other.number is None:
                rated(one.mask[0], 1 - one.mask[1])
                return None
            return Value(mask=one.mask) if other.number != 0 else None
    for one, number, turned in ((a, b.number, False), (b, a.number, True)):
        if one.uniform is None or number is None:
            continue
        draw, low, high = one.uniform
        first, second = (_computed(name, *((number, end) if turned else (end, number))) for end in (low, high))
        if first is None or second is None or first == second:
            return None
        if (name == "max" and number > low) or (name == "min" and number < high):
            return None
        return Value(uniform=(draw, min(first, second), max(first, second)))
    return None


def _computed(name: str, a: float, b: float) -> Optional[float]:
    if name == "div":
        return a / b if b else None
    if name in ("max", "min"):
        return max(a, b) if name == "max" else min(a, b)
    return {"add": a + b, "sub": a - b, "mul": a * b}[name]


def _selected(given: List[Value], whole: Value, rated: Any) -> Value:
    which, *cases = given
    if which.number is not None and 0 <= which.number < len(cases):
        return cases[int(which.number)]
    if which.mask is None or len(cases) != 2:
        return whole
    draw, true = which.mask
    off, on = cases
    if off.number is not None and on.number is not None:
        if off.number == 0 or on.number == 0:
            return replace(whole, mask=(draw, true if off.number == 0 else 1 - true))
    elif off.number is not None:
        rated(draw, 1 - true)
    elif on.number is not None:
        rated(draw, true)
    return whole
