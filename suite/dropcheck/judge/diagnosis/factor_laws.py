"""The law that factors of kept values, or of gradients, follow in fact: one formula of the rate that all cases have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dropcheck.judge.diagnosis.seen import case_of, shown
from dropcheck.results.audit import Finding
from dropcheck.worker.server import rounding

_MEAN = "scale.mean"
_NO_RATE = 64  # shares of fewer parts may be rates that somebody wrote down


@dataclass(frozen=True)
class Factor:
    """The factor that one result shows: of its example, or of what all kept values share; ``u`` its rounding."""

    finding: Finding
    rate: float
    factor: float
    right: float
    u: float


def factor_of(one: Finding) -> Factor | None:
    case = case_of(one.case)
    if one.estimate is None or one.expected is None or case.rate is None or not case.dtype or not 0 < case.rate < 1:
        return None
    right, factor = one.expected, one.estimate
    if one.check == _MEAN:
        return None if "factor" in one.tallies else Factor(one, case.rate, math.nan, math.nan, 0.0)
    return Factor(one, case.rate, factor, right, rounding.unit_roundoff(case.dtype))


def agree(factors: Sequence[Factor], law: Callable[[Factor], float]) -> bool:
    """Whether a law gives every factor, to some roundings of its dtype."""
    known = [one for one in factors if not math.isnan(one.factor)]
    return bool(known) and all(
        math.isfinite(one.factor) and abs(one.factor - law(one)) <= 6 * one.u * abs(law(one)) for one in known
    )


def example(factors: Sequence[Factor]) -> str:
    one = next(f for f in factors if not math.isnan(f.factor))
    return f"{shown(one.right)} at rate {one.rate:g}"


def named(factors: Sequence[Factor]) -> tuple[str, str, str, bool] | None:
    """The law of the factors: its name, sentence, fix, and False (all values have it); None where they follow none."""
    known = [one for one in factors if not math.isnan(one.factor)]
    if not known:
        return None
    known.sort(key=lambda one: (abs(one.rate - 0.3), one.u))
    first = known[0]
    head = f"kept values are multiplied by {shown(first.factor)}, expected {example([first])}"
    if agree(known, lambda one: 1.0):
        return (
            "missing",
            f"{head}: the 1 / (1 - rate) scaling is missing",
            "Multiply kept values by 1 / (1 - rate) in training.",
            False,
        )
    apart = any(abs(one.rate - 0.5) > 0.01 for one in known)
    if apart and agree(known, lambda one: 1 / one.rate):
        return "1 / rate", f"{head}: they are divided by the rate instead of by 1 - rate", "Divide by 1 - rate.", False
    if agree(known, lambda one: one.right**2):
        return "twice", f"{head}: they are scaled twice", "Divide by 1 - rate once.", False
    if apart and agree(known, lambda one: 1 - one.rate):
        return "1 - rate", f"{head}: they are multiplied by 1 - rate", "Divide by 1 - rate.", False
    for name, law, said in _LAWS:
        if apart and agree(known, law):
            return name, f"{head}: they are {said}", "Divide by 1 - rate.", False
    if agree(known, lambda one: -one.right):
        return (
            "sign",
            "negative values become positive: the sign of kept values is lost",
            "Do not take the absolute value.",
            False,
        )
    if agree(known, lambda one: 2 * one.right):
        return "doubled", f"{head}: they are doubled", "", False
    if (text := _of_the_call(known)) is not None:
        return (
            "realised",
            f"{head}: {text}",
            "Divide by 1 - rate, not by the share of elements that this call keeps.",
            False,
        )
    if (text := _of_what_is_kept(known)) is not None:
        return "realised", f"{head}: {text}", "Divide by 1 - rate, not by the share that is kept.", False
    if (rounded := _rounded(known)) is not None:
        return (
            "bits",
            f"{head}: the factor is {rounded}",
            "Compute the factor in at least single precision, and round the product once.",
            False,
        )
    same = [one.factor / one.right for one in known]
    if (
        len({one.rate for one in known}) > 1
        and max(same) - min(same) <= 1e-3 * abs(same[0])
        and abs(same[0] - 1) > 1e-3
    ):
        return "other", f"{head}: {shown(same[0])} times as large at every rate", "", False
    return None


# other functions of the rate that are written where 1 / (1 - rate) is meant
_LAWS: tuple[tuple[str, Callable[[Factor], float], str], ...] = (
    ("1 + rate", lambda one: 1 + one.rate, "multiplied by 1 + rate"),
    ("1 / sqrt", lambda one: (1 - one.rate) ** -0.5, "divided by the square root of 1 - rate"),
    ("rate / keep", lambda one: one.rate / (1 - one.rate), "multiplied by rate / (1 - rate)"),
)


def _of_the_call(known: Sequence[Factor]) -> str | None:
    """Whether each factor is the number of coins of a call over a whole number of kept ones."""
    numbers = []
    for one in known:
        case = case_of(one.finding.case)
        if case.rows is None or case.channels is None or case.batches or one.u > 1e-6:
            continue
        size = case.rows * case.channels
        kept = size / one.factor if one.factor else math.inf
        if not 4 <= size <= 100_000 or abs(kept - round(kept)) > 0.02 or not 0 < kept <= size:
            return None
        numbers.append(abs(one.factor / one.right - 1))
    if len(numbers) < 3 or max(numbers) < 1e-5:
        return None
    return "they are divided by the share of elements that the call keeps"


def _of_what_is_kept(known: Sequence[Factor]) -> str | None:
    """Whether few factors are the number of coins of a sample, or of a call, over a whole number of kept ones.

    To within the rounding of the factor, near the number that should be kept, and as a fraction that no rate is. The chance
    that other factors look so is below one in a thousand.
    """
    kinds: tuple[tuple[str, Callable[[int, int], int]], ...] = (
        ("the share of its channels that a sample keeps", lambda rows, channels: channels),
        ("the share of decisions that keep in a call", lambda rows, channels: rows * channels),
    )
    for words, coins in kinds:
        chance, shown_of = 1.0, ""
        for one in known:
            case = case_of(one.finding.case)
            if case.rows is None or case.channels is None or case.batches or one.u > 1e-6 or one.factor <= 0:
                break
            size = coins(case.rows, case.channels)
            kept = size / one.factor
            whole, room = round(kept), 8 * one.u * kept
            spread = math.sqrt(size * one.rate * (1 - one.rate))
            if abs(kept - whole) > room or abs(whole - size * (1 - one.rate)) > 6 * spread:
                break
            if size // math.gcd(size, whole) < _NO_RATE:
                break
            chance *= 2 * room
            shown_of = shown_of or f"{whole} of {size}"
        else:
            if chance < 1e-3:
                return f"they are divided by {words} (here {shown_of})"
    return None


def _rounded(known: Sequence[Factor]) -> str | None:
    """The precision to which the right factor was rounded, or cut."""
    fine = [one for one in known if one.u < 1e-6 and abs(one.factor / one.right - 1) > 8 * one.u]
    if len(fine) < len([one for one in known if one.u < 1e-6]) * 0.5 or not fine:
        return None
    for dtype in ("float16", "bfloat16"):
        near = [float(rounding.to_float64(rounding.to_dtype(np.array([one.right]), dtype), dtype)[0]) for one in fine]
        if all(abs(one.factor - n) <= 8 * one.u * abs(n) for one, n in zip(fine, near, strict=True)):
            return f"rounded to {dtype}"
    for bits in range(5, 20):
        cut = [_cut(one.right, bits) for one in fine]
        if all(any(abs(one.factor - c) <= 8 * one.u * abs(c) for c in two) for one, two in zip(fine, cut, strict=True)):
            return f"rounded to {bits} bits"
    return None


def _cut(value: float, bits: int) -> tuple[float, float]:
    mantissa, exponent = math.frexp(value)
    scaled = mantissa * 2**bits
    return math.ldexp(math.floor(scaled) / 2**bits, exponent), math.ldexp(round(scaled) / 2**bits, exponent)


def no_common(factors: Sequence[Factor]) -> tuple[str, str] | None:
    """What kept values become where they share no factor: x times the scale plus a constant, or another factor each time."""
    known = [one for one in factors if one.u < 1e-6 and isinstance(one.finding.tallies.get("example"), dict)]
    examples = [one.finding.tallies["example"] for one in known]
    off = [float(e["output"]) - (float(e["low"]) + float(e["high"])) / 2 for e in examples]
    if len({one.rate for one in known}) > 2 and max(off) - min(off) <= 1e-3 * abs(off[0]):
        text = f"kept values are x times the scale plus {shown(off[0], 3)}, expected nothing added"
        return text, "Add nothing to kept values."
    for rate in sorted({one.rate for one in known}, key=lambda r: abs(r - 0.3)):
        some = sorted((one for one in known if one.rate == rate), key=lambda one: one.factor)
        low, high = some[0], some[-1]
        if len(some) > 2 and high.factor - low.factor > 1e-5 * abs(low.right):
            text = f"kept values share no common factor: at rate {rate:g} one is multiplied by {shown(low.factor)} and another by "
            return (
                f"{text}{shown(high.factor)}, expected {shown(low.right)}",
                "Multiply every kept value by 1 / (1 - rate).",
            )
    return None
