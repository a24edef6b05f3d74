"""Values that are not what is declared: the factor of kept values and of gradients, named where all cases agree on one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dropcheck.judge.diagnosis import affine_laws, factor_laws
from dropcheck.judge.diagnosis.places import only
from dropcheck.judge.diagnosis.seen import Cause, Seen, at, case_of, cause, percent, shown
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import strongest

_KEPT, _MEAN, _GRADIENT = "scale.kept-values", "scale.mean", "gradient.scale"
_ALL = 0.97  # share of the kept values from which on all of them count as wrong


def forward(seen: Seen) -> Iterator[Cause]:
    """Kept values with a factor of their own; gradients that have the same one follow."""
    some = seen.failing(_KEPT, _MEAN)
    if not some:
        return
    judged = [f for check in (_KEPT, _MEAN) for f in seen.judged.get(check, ())]
    shown_of = [f for f in some if f.estimate is not None] or some  # sizes of daily use show no value
    lead = _clearest(shown_of)
    place = only([f for f in judged if f.check == lead.check])
    factors = [one for f in shown_of if (one := factor_laws.factor_of(f)) is not None]
    affine = seen.target.contract.get("scale") == "alpha"
    every = _share_wrong(some)
    follow = [*some]
    found = None if affine or len(factors) < len(shown_of) else factor_laws.named(factors)
    if found is not None and every is not None and every < _ALL and found[0] not in ("sign", "constant"):
        found = None if found[0] in ("bits", "other") else (*found[:3], True)
    one_call = every is not None and every < _ALL and _in_one_call(some)
    if found is None:
        law = affine_laws.sentence(shown_of) if affine and not one_call else None
        text, fix = law or ((_dropped(some) if affine else None) or _special(some) or lead.message, "")
        if law is None and text == lead.message and not affine and every is not None and every >= _ALL:
            text, fix = factor_laws.no_common(factors) or (text, "")
        if (
            law is None
            and text == lead.message
            and "sizes" in lead.tallies
            and lead.estimate is not None
            and not affine
        ):
            share = lead.message.partition(" elements are neither")[0]
            text = f"kept values are wrong: one is multiplied by {shown(lead.estimate)}, expected {shown(lead.expected or 0.0)} "
            text += f"({share} elements)"
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
    factors = [one for f in some if (one := factor_laws.factor_of(f)) is not None]
    every = all(f.tallies.get("wrong", 0) >= _ALL * f.tallies.get("positions", math.inf) for f in some)
    affine = seen.target.contract.get("scale") == "alpha"
    text, fix = lead.message, ""
    if every and len(factors) == len(some) and factors:
        head = f"gradients of kept elements are multiplied by {shown(factors[0].factor)}"
        right = f"expected {factor_laws.example(factors)}"
        if factor_laws.agree(factors, lambda one: 1.0):
            text = (
                f"gradients of kept elements are multiplied by 1, {right}: the scaling is missing in the backward pass"
            )
            fix = "Multiply the gradient by mask / (1 - rate), as the forward pass does."
        elif not affine and factor_laws.agree(factors, lambda one: one.right**2):
            text = f"{head}, {right}: the backward pass scales twice"
            fix = "Multiply the gradient by mask / (1 - rate) once."
        elif affine and factor_laws.agree(factors, lambda one: 1 / (1 - one.rate)):
            text = f"{head}, which is 1 / (1 - rate), {right}"
            fix = "Multiply the gradient by the factor a of the forward pass."
        elif factor_laws.agree(factors, lambda one: factors[0].factor / factors[0].right * one.right):
            text = f"{head}, {right}: {shown(factors[0].factor / factors[0].right, 3)} times the right gradient"
            fix = "Multiply the gradient by the factor of the forward pass."
    yield cause(f"{_GRADIENT} {place}".strip(), at(text, place), fix, seen.take(some), lead)


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
