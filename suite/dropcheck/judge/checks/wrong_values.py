"""One wrong kept value, in words: what became of which input, what is right, and by which factor it was multiplied."""

from __future__ import annotations

import math
from collections.abc import Mapping

UNIT = "factor of a kept value"


def factor_of(seen: Mapping[str, float], offset: float) -> float:
    """The factor of a wrong value; ``offset``: what the contract adds to kept values. NaN for an input of 0."""
    return (seen["output"] - offset) / seen["input"] if seen["input"] else math.nan


def shown(seen: Mapping[str, float], factor: float) -> str:
    """One wrong value beside what is right, with as many digits as distinguish them, and its relative error."""
    given, output, low, high = (seen[name] for name in ("input", "output", "low", "high"))
    right = (low + high) / 2
    digits = next((d for d in (9, 12, 17) if len({f"{v:.{d}g}" for v in (output, low, high)}) == 3 or low == high), 17)
    expected = f"{low:.{digits}g} to {high:.{digits}g}" if low != high else f"{low:.{digits}g}"
    text = f"input {given:.{digits}g} becomes {output:.{digits}g}, expected {expected}"
    if not math.isfinite(output):
        return text
    text += f" (factor {factor:.6g}"
    return f"{text}, relative error {(output - right) / abs(right):+.3g})" if right else f"{text})"
