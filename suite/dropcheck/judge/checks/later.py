"""The rate of a layer in use: set later, and beside a layer with another rate."""

from __future__ import annotations

import math
from typing import Any

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, telling
from dropcheck.judge.checks.looks import Look, faults, life, look, only_eager, refused, repeats, times
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import percent
from dropcheck.worker.client import Refused

_MADE, _LATER = 0.3, (0.8, 0.15)
_SIZES = (33, 65, 3)


def _seen(bench: Bench, layer: Layer, x: Any, rate: float) -> Look:
    answer = layer.call(x, times=times(bench, x))
    return look(bench, answer.raw, answer.dtype, x, rate, layer.dtype)


def _later(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := only_eager(check, bench, "another rate")) is not None:
        return early
    if bench.contract.rates is not None:
        return [skipped(check, "another rate", "the layer has a fixed rate")]
    return [*_beside(check, bench), *_set(check, bench)]


def _set(check: Check, bench: Bench) -> list[Finding]:
    """One layer, made for one rate and used, that is given others."""
    found = []
    try:
        layer = Layer(bench, _MADE)
        layer.call(telling(bench, _MADE, bench.first, *_SIZES))
    except Refused as error:
        return [refused(check, f"{bench.first} rate={_MADE:g} set later", error, "the layer raises")]
    old = _MADE
    for new in _LATER:
        where = f"{bench.first} rate={new:g} set later"
        try:
            x = telling(bench, new, bench.first, *_SIZES)
            control = _seen(bench, Layer(bench, new), x, new)
            told = life(bench, "set_rate", id=layer.id, old=old, new=new)
        except Refused as error:
            found.append(refused(check, where, error, "a layer of that rate raises"))
            break
        name = told["attribute"]
        if told["raised"]:
            found.append(skipped(check, where, f"`.{name}` is read-only: an assignment raises {told['raised']}"))
            break
        try:
            seen = _seen(bench, layer, x, new)
        except Refused as error:
            if error.where == "unsupported":
                found.append(skipped(check, where, error.message))
            else:
                found.append(
                    finding(
                        check,
                        where,
                        "pass",
                        f"after `.{name} = {new:g}` the call raises an error, which is allowed: {error}",
                    )
                )
            break
        found.append(_obeyed(check, bench, where, name, old, new, seen, control, x))
        old = new
    return found


def _obeyed(
    check: Check, bench: Bench, where: str, name: str, old: float, new: float, seen: Look, control: Look, x: Any
) -> Finding:
    scale = bench.contract.scale_at(new)
    wrong = faults(seen, control, new, scale)
    numbers: dict[str, Any] = dict(
        estimate=seen.share,
        expected=new,
        unit="share of drops",
        coins=seen.coins,
        tallies={**seen.tallies(), "within": repeats(bench, seen, x)},
    )
    if not wrong:
        text = f"after `.{name} = {new:g}` (before: {old:g}), {percent(seen.share, 1)} drop, and the scale fits the new rate"
        return finding(check, where, "pass", text, **numbers)
    text = f"after `.{name} = {new:g}` (before: {old:g}), {'; '.join(wrong)}"
    return finding(check, where, "fail", text, log10_evidence=-math.inf, **numbers)


def _beside(check: Check, bench: Bench) -> list[Finding]:
    """A layer before and after another one of its class is made for another rate and called."""
    other = _LATER[0]
    where = f"{bench.first} rate={_MADE:g} beside {other:g}"
    try:
        x = telling(bench, _MADE, bench.first, *_SIZES)
        layer = Layer(bench, _MADE)
        before = _seen(bench, layer, x, _MADE)
        Layer(bench, other).call(x)
        after = _seen(bench, layer, x, _MADE)
    except Refused as error:
        return [refused(check, where, error, "a layer beside another one raises")]
    wrong = faults(after, before, _MADE, bench.contract.scale_at(_MADE))
    numbers: dict[str, Any] = dict(
        estimate=after.share,
        expected=_MADE,
        unit="share of drops",
        coins=after.coins,
        tallies={**after.tallies(), "within": repeats(bench, after, x)},
    )
    if wrong:
        text = f"a second layer with rate {other:g} changes the first: {'; '.join(wrong)}"
        return [finding(check, where, "fail", text, log10_evidence=-math.inf, **numbers)]
    return [finding(check, where, "pass", f"a second layer with rate {other:g} does not change the first", **numbers)]


CHECKS = (
    Check(
        name="rate.set-later",
        role="layers in turn",
        how=f"A layer with rate {_MADE:g} is called. Then its attribute (.p, .rate, .drop_prob, ...) is set to {_LATER[0]:g} and "
        f"{_LATER[1]:g}. The share of drops and every kept value are compared with those of a layer made with that rate. A "
        "share that differs by .2 in 4000 decisions has a probability below 10^-30. A second test makes another layer with "
        "another rate: it must not change the first. A read-only attribute, and a layer without one, are skipped.",
        remedy="Compute thresholds and factors from self.p in forward, not in the constructor. Or make the rate a read-only "
        "property, so that an assignment raises. Do not store the rate on the class or in a cache of compiled functions.",
        observe=_later,
    ),
)
