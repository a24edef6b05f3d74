"""Values that are not what is declared: the factor of kept values and of gradients, named where all cases agree on one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dropcheck.judge.diagnosis import affine_laws
from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause, percent, shown
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest
from dropcheck.worker.server import rounding

_KEPT, _MEAN, _GRADIENT = "scale.kept-values", "scale.mean", "gradient.scale"
_ALL = 0.97  # share of the kept values from which on all of them count as wrong


@dataclass(frozen=True)
class _Factor:
    """The factor that one result shows: of its example, or of what all kept values share; ``u`` its rounding."""

    finding: Finding
    rate: float
    factor: float
    right: float
    u: float


def forward(seen: Seen) -> Iterator[Cause]:
    """Kept values with a factor of their own; gradients that have the same one follow."""
    some = seen.failing(_KEPT, _MEAN)
    if not some:
        return
    judged = [f for check in (_KEPT, _MEAN) for f in seen.judged.get(check, ())]
    shown_of = [f for f in some if f.estimate is not None] or some  # sizes of daily use show no value
    lead = _clearest(shown_of)
    place = only([f for f in judged if f.check == lead.check])
    factors = [one for f in shown_of if (one := _factor(f)) is not None]
    affine = seen.target.contract.get("scale") == "alpha"
    every = _share_wrong(some)
    follow = [*some]
    found = None if affine or len(factors) < len(shown_of) else _named(factors)
    if found is not None and every is not None and every < _ALL and found[0] not in ("sign", "constant"):
        found = None if found[0] in ("bits", "other") else (*found[:3], True)
    one_call = every is not None and every < _ALL and _in_one_call(some)
    if found is None:
        law = affine_laws.sentence(shown_of) if affine and not one_call else None
        text, fix = law or ((_dropped(some) if affine else None) or _special(some) or lead.message, "")
        if law is None and text == lead.message and not affine and every is not None and every >= _ALL:
            text = _no_factor(factors) or text
        if one_call:
            text += "; the wrong values are those of one call of a layer, whatever the number of its calls"
        yield cause(f"{lead.check} {place}".strip(), at(text, place), fix, seen.take(follow), lead)
        return
    name, text, fix, partly = found
    if one_call and partly:
        text = f"in one call of a layer, whatever the number of its calls, {text}"
    elif partly and every is not None:
        text = f"{percent(every)} of the {text}" if text.startswith("kept values") else text
    if not partly:
        follow += seen.failing(_GRADIENT)
    yield cause(f"scale: {name} {place}".strip(), at(text, place), fix, seen.take(follow), lead)


def _dropped(some: Sequence[Finding]) -> str | None:
    """Of a layer that drops to a constant: the dropped elements are wrong alone. At every rate their share is the rate.

    Within 6 standard errors of the counted decisions: by chance in less than one of 10^8 results.
    """
    asked = [(f, case_of(f.case)) for f in some if f.tallies.get("wrong")]
    counted = [(f, c) for f, c in asked if c.rate and c.rows and c.channels and c.calls and c.shared and not c.batches]
    rates = set()
    for one, case in counted:
        assert case.rate and case.rows and case.channels and case.calls and case.shared
        decisions = case.rows * case.channels * case.calls
        share = one.tallies["wrong"] / (decisions * case.shared)
        if abs(share - case.rate) > 6 * math.sqrt(case.rate * (1 - case.rate) / decisions):
            return None
        rates.add(case.rate)
    if len(rates) < 2:
        return None
    one, case = min(counted, key=lambda pair: abs((pair[1].rate or 0) - 0.3))
    value = one.tallies.get("example", {}).get("output")
    became = f": at rate {case.rate:g} a dropped element becomes {shown(value)}" if isinstance(value, float) else ""
    return f"the dropped elements have a wrong value, the kept ones are right{became}"


def backward(seen: Seen) -> Iterator[Cause]:
    """Gradients of kept elements with another factor than the forward pass."""
    some = seen.failing(_GRADIENT)
    if not some:
        return
    lead, place = strongest(some), only(seen.judged[_GRADIENT])
    factors = [one for f in some if (one := _factor(f)) is not None]
    every = all(f.tallies.get("wrong", 0) >= _ALL * f.tallies.get("positions", math.inf) for f in some)
    affine = seen.target.contract.get("scale") == "alpha"
    text, fix = lead.message, ""
    if every and len(factors) == len(some) and factors:
        if _agree(factors, lambda one: 1.0):
            text = f"gradients of kept elements are multiplied by 1, expected {_example(factors)}: "
            text += "the scaling is missing in the backward pass"
            fix = "Multiply the gradient by mask / (1 - rate), as the forward pass does."
        elif not affine and _agree(factors, lambda one: one.right**2):
            text = (
                f"gradients of kept elements are multiplied by {shown(factors[0].factor)}, expected {_example(factors)}: "
                "the backward pass scales twice"
            )
            fix = "Multiply the gradient by mask / (1 - rate) once."
        elif affine and _agree(factors, lambda one: 1 / (1 - one.rate)):
            text = (
                f"gradients of kept elements are multiplied by {shown(factors[0].factor)}, which is 1 / (1 - rate), expected "
                f"{_example(factors)}"
            )
            fix = "Multiply the gradient by the factor a of the forward pass."
    yield cause(f"{_GRADIENT} {place}".strip(), at(text, place), fix, seen.take(some), lead)


# --- factors ---------------------------------------------------------------------------------------------------------


def _factor(one: Finding) -> _Factor | None:
    case = case_of(one.case)
    if one.estimate is None or one.expected is None or case.rate is None or not case.dtype or not 0 < case.rate < 1:
        return None
    right, factor = one.expected, one.estimate
    if one.check == _MEAN:
        return None if "factor" in one.tallies else _Factor(one, case.rate, math.nan, math.nan, 0.0)
    return _Factor(one, case.rate, factor, right, rounding.unit_roundoff(case.dtype))


def _agree(factors: Sequence[_Factor], law: Callable[[_Factor], float]) -> bool:
    """Whether a law gives every factor, to some roundings of its dtype."""
    known = [one for one in factors if not math.isnan(one.factor)]
    return bool(known) and all(
        math.isfinite(one.factor) and abs(one.factor - law(one)) <= 6 * one.u * abs(law(one)) for one in known
    )


def _example(factors: Sequence[_Factor]) -> str:
    one = next(f for f in factors if not math.isnan(f.factor))
    return f"{shown(one.right)} at rate {one.rate:g}"


def _named(factors: Sequence[_Factor]) -> tuple[str, str, str, bool] | None:
    """The law of the factors: its name, sentence, fix, and False (all values have it); None where they follow none."""
    known = [one for one in factors if not math.isnan(one.factor)]
    if not known:
        return None
    known.sort(key=lambda one: (abs(one.rate - 0.3), one.u))
    first = known[0]
    head = f"kept values are multiplied by {shown(first.factor)}, expected {_example([first])}"
    if _agree(known, lambda one: 1.0):
        return (
            "missing",
            f"{head}: the 1 / (1 - rate) scaling is missing",
            "Multiply kept values by 1 / (1 - rate) in training.",
            False,
        )
    apart = any(abs(one.rate - 0.5) > 0.01 for one in known)
    if apart and _agree(known, lambda one: 1 / one.rate):
        return "1 / rate", f"{head}: they are divided by the rate instead of by 1 - rate", "Divide by 1 - rate.", False
    if _agree(known, lambda one: one.right**2):
        return "twice", f"{head}: they are scaled twice", "Divide by 1 - rate once.", False
    if apart and _agree(known, lambda one: 1 - one.rate):
        return "1 - rate", f"{head}: they are multiplied by 1 - rate", "Divide by 1 - rate.", False
    if _agree(known, lambda one: -one.right):
        return (
            "sign",
            "negative values become positive: the sign of kept values is lost",
            "Do not take the absolute value.",
            False,
        )
    if _agree(known, lambda one: 2 * one.right):
        return "doubled", f"{head}: they are doubled", "", False
    if (text := _of_the_call(known)) is not None:
        return (
            "realised",
            f"{head}: {text}",
            "Divide by 1 - rate, not by the share of elements that this call keeps.",
            False,
        )
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


def _of_the_call(known: Sequence[_Factor]) -> str | None:
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


def _rounded(known: Sequence[_Factor]) -> str | None:
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


# --- single values ---------------------------------------------------------------------------------------------------


def _share_wrong(some: Sequence[Finding]) -> float | None:
    """The share of kept values that is wrong, over counted cases."""
    wrong = kept = 0
    for one in some:
        shared = case_of(one.case).shared
        if one.check == _KEPT and shared and "wrong" in one.tallies and "kept" in one.tallies:
            wrong += int(one.tallies["wrong"])
            kept += int(one.tallies["kept"]) * shared
    return wrong / kept if kept else None


def _in_one_call(some: Sequence[Finding]) -> bool:
    """Whether the wrong values number those that one call keeps, in cases of few calls and of many.

    Within 6 standard errors of the drop decisions of that call.
    """
    calls = []
    for one in some:
        case = case_of(one.case)
        if one.check != _KEPT or "wrong" not in one.tallies or "seeds" in case.words or case.batches:
            continue
        if not (case.rows and case.channels and case.shared and case.calls and case.rate) or case.rate >= 1:
            continue
        decisions = case.rows * case.channels
        number = one.tallies["wrong"] / (case.shared * decisions * (1 - case.rate))
        if abs(number - 1) > 6 * math.sqrt(case.rate / ((1 - case.rate) * decisions)):
            return False
        calls.append(case.calls)
    return len(calls) >= 3 and max(calls) >= 10


def _no_factor(factors: Sequence[_Factor]) -> str | None:
    """What kept values become where they share no factor: x times the scale plus a constant, or another factor each time."""
    known = [one for one in factors if one.u < 1e-6 and isinstance(one.finding.tallies.get("example"), dict)]
    examples = [one.finding.tallies["example"] for one in known]
    off = [float(e["output"]) - (float(e["low"]) + float(e["high"])) / 2 for e in examples]
    if len({one.rate for one in known}) > 2 and max(off) - min(off) <= 1e-3 * abs(off[0]):
        return f"kept values are x times the scale plus {shown(off[0], 3)}, expected nothing added"
    for rate in sorted({one.rate for one in known}, key=lambda r: abs(r - 0.3)):
        some = sorted((one for one in known if one.rate == rate), key=lambda one: one.factor)
        low, high = some[0], some[-1]
        if len(some) > 2 and high.factor - low.factor > 1e-5 * abs(low.right):
            text = f"kept values share no common factor: at rate {rate:g} one is multiplied by {shown(low.factor)} and another by "
            return text + f"{shown(high.factor)}, expected {shown(low.right)}"
    return None


def _clearest(some: Sequence[Finding]) -> Finding:
    """The result with an example that is shown: single values before their mean."""
    own = [f for f in some if f.check == _KEPT]
    return strongest(own or some)


def _special(some: Sequence[Finding]) -> str | None:
    """What the examples have in common where no factor is: one output for all, or a sign."""
    examples = [e for f in some if isinstance(e := f.tallies.get("example"), dict)]
    outputs = {round(abs(float(e["output"])), 6) for e in examples if e.get("output") is not None}
    if len(examples) > 2 and len(outputs) == 1 and (value := outputs.pop()):
        inputs = [abs(float(e["input"])) for e in examples]
        if max(inputs) - min(inputs) > 1e-3 * max(inputs) and value < min(inputs) * 1.01 + value * 0.2:
            span = f"{shown(min(inputs), 3)} to {shown(max(inputs), 3)}"
            return f"large values are clipped: kept values of {span} become {shown(value)}"
    signs = [e for e in examples if e.get("input") and e.get("output") is not None]
    if len(signs) > 2 and all(float(e["input"]) < 0 < float(e["output"]) for e in signs):
        return "negative values become positive: the sign of kept values is lost"
    return None
