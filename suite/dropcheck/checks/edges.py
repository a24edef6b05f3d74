"""The edges of the rate: 0, 1, and what is no probability."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.checks.base import Bench, Check, Limits, finding, settle, skipped
from dropcheck.checks.questions import Answer, Layer, dropped, probe, telling
from dropcheck.contract import Contract
from dropcheck.results import Finding
from dropcheck.statistics import binomial
from dropcheck.worker import rounding
from dropcheck.worker.client import Refused

_SHAPES = {"quick": ((33, 65, 3),), "standard": ((1025, 65, 3), (1, 8193, 2), (257, 3, 4))}


def _fixed(bench: Bench, rate: float) -> str | None:
    if bench.contract.rates is not None and rate not in bench.contract.rates:
        return f"this layer stands at rate {', '.join(f'{r:g}' for r in bench.contract.rates)} and takes no other"
    return None


def _malformed(check: Check, where: str, answer: Answer, dtype: str, x: Any) -> Finding:
    """Nothing was measured: neither a pass nor this claim's failure, which ``form.shape-dtype`` is where it is selected."""
    text = f"a call returns {answer.dtype} {answer.shape} for an input of {dtype} {x.shape}, so no coin could be read: see "
    return finding(check, where, "inconclusive", text + "form.shape-dtype")


def _off(values: Any, x: Any, promise: Contract, dtype: str) -> Any:
    """Which elements are not x times the scale plus the offset of rate 0, to the rounding of the dtype."""
    unique, index = np.unique(x, return_inverse=True)
    low, high = (
        bound[index].reshape(x.shape) for bound in rounding.bounds(unique, 0.0, promise.scale, dtype, promise.offset)
    )
    with np.errstate(invalid="ignore"):
        return ~((values >= low) & (values <= high))


def _zero(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (reason := _fixed(bench, 0.0)) is not None:
        return [skipped(check, "rate=0", reason)]
    found = []
    for dtype in bench.dtypes:
        where = f"{dtype} rate=0"
        coins = leaks = changed = 0
        promise = bench.contract
        scaled = (promise.scale_at(0.0), promise.offset_at(0.0)) != (1, 0)  # numbers: kept values change at every rate
        try:
            for sizes in _SHAPES.get(bench.profile, _SHAPES["standard"]):
                x = telling(bench, 0.0, dtype, *sizes)
                layer = Layer(bench, 0.0, dtype)
                answer = layer.call(x, times=4)
                bench.traits.setdefault("rate 0 returns the input itself", {})[dtype] = answer.same_object
                if answer.dtype != dtype or answer.shape != x.shape:
                    break
                right = rounding.to_dtype(x, dtype)
                for raw in answer.raw:
                    coins += sizes[0] * sizes[1]
                    wrong = rounding.bits(raw, dtype) != rounding.bits(right, dtype)
                    if scaled:
                        wrong = _off(rounding.to_float64(raw, dtype), x, promise, dtype)
                    changed += int(np.count_nonzero(wrong))
                    leaks += int(np.count_nonzero(dropped(rounding.to_float64(raw, dtype), bench, 0.0, dtype)))
        except Refused as refused:
            found.append(finding(check, where, "fail", f"rate 0 is refused: {refused}", expected=0.0))
            continue
        if not coins:
            found.append(_malformed(check, where, answer, dtype, x))
            continue
        resolution = binomial.zero_tolerance_resolution(coins, limits.beta)
        message = (
            f"at rate 0, {leaks} elements are dropped and {changed} changed in {coins} coins"
            if changed
            else f"rate 0 returns the input {f'as {promise.kept_words(0.0)}' if scaled else 'bit for bit'} in {coins} coins"
        )
        found.append(
            finding(
                check,
                where,
                settle(changed > 0, resolution, limits.coarsest),
                message,
                estimate=leaks / coins,
                expected=0.0,
                unit="share of coins that drop",
                coins=coins,
                resolution=resolution,
                log10_evidence=-math.inf if changed else 0.0,
                tallies={"dropped": leaks, "changed": changed, "coins": coins},
            )
        )
    return found


def _one(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (reason := _fixed(bench, 1.0)) is not None:
        return [skipped(check, "rate=1", reason)]
    found = []
    for dtype in bench.dtypes:
        where = f"{dtype} rate=1"
        coins = kept = infinite = 0
        try:
            for sizes in _SHAPES.get(bench.profile, _SHAPES["standard"]):
                x = probe(bench.contract.pattern, dtype, *sizes)
                answer = Layer(bench, 1.0, dtype).call(x, times=4)
                if answer.dtype != dtype or answer.shape != x.shape:
                    break
                for i in range(4):
                    values = answer.values(i)
                    coins += sizes[0] * sizes[1]
                    infinite += int(np.count_nonzero(~np.isfinite(values)))
                    kept += int(np.count_nonzero(~dropped(values, bench, 1.0, dtype)))
        except Refused as refused:
            # a layer that cannot be asked for rate 1 drops nothing wrongly; --strict wants the claim itself
            bench.traits.setdefault("rate 1", {})[dtype] = f"refused at the {refused.where}: {refused}"
            verdict = "fail" if limits.strict else "skipped"
            where_refused = (
                "the constructor refuses it" if refused.where == "construct" else "the first call refuses it"
            )
            found.append(finding(check, where, verdict, f"rate 1: {where_refused} ({refused})"))  # type: ignore[arg-type]
            continue
        if not coins:
            found.append(_malformed(check, where, answer, dtype, x))
            continue
        resolution = binomial.zero_tolerance_resolution(coins, limits.beta)
        bad = kept + infinite
        message = (
            f"at rate 1, {kept} elements are not dropped and {infinite} are not finite, of {coins} coins"
            if bad
            else f"rate 1 drops all of {coins} coins and stays finite"
        )
        found.append(
            finding(
                check,
                where,
                settle(bad > 0, resolution, limits.coarsest),
                message,
                estimate=min(1.0, kept / coins),
                expected=0.0,
                unit="share of coins that are kept",
                coins=coins,
                resolution=resolution,
                log10_evidence=-math.inf if bad else 0.0,
                tallies={"kept": kept, "nonfinite": infinite, "coins": coins},
            )
        )
    return found


def _invalid(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if bench.contract.rates is not None:
        return [skipped(check, "invalid rates", str(_fixed(bench, -1.0)))]
    found = []
    for name, rate in (("-0.1", -0.1), ("1.5", 1.5), ("nan", math.nan)):
        where = f"rate={name}"
        x = probe(bench.contract.pattern, bench.first, 33, 65, 3)
        try:
            answer = Layer(bench, rate).call(x)
        except Refused as refused:
            if refused.where == "unsupported":
                found.append(skipped(check, where, str(refused)))
                continue
            place = "the constructor" if refused.where == "construct" else "the first call"
            found.append(finding(check, where, "pass", f"rate {name} is refused by {place} ({refused})"))
            continue
        values = answer.values()
        share = float(np.mean(values == 0)) if values.size else 0.0
        found.append(
            finding(
                check,
                where,
                "fail",
                f"rate {name} is no probability, yet it is obeyed: {share:.0%} of the elements are 0",
                estimate=share,
                unit="share of elements that are 0",
                log10_evidence=-math.inf,
                coins=33 * 65,
            )
        )
    return found


CHECKS = (
    Check(
        name="rate.zero",
        claim="rate 0 changes nothing",
        how="At rate 0 every output must be its input bit for bit, in every dtype; where the contract's scale is a number, the "
        "input times that number, to the rounding of the dtype. One dropped coin is a failure.",
        remedy="Compare so that probability 0 can never drop: uniform numbers lie in [0, 1), so `u < rate` is safe and "
        "`u > rate` or `u <= rate` is not; in low precision 0 is drawn often.",
        resolution_words="a share of coins that drop at rate 0",
        coarsest={"quick": 2**-8, "standard": 2**-9, "deep": 2**-12},
        observe=_zero,
    ),
    Check(
        name="rate.one",
        claim="rate 1 drops everything and stays finite",
        how="At rate 1 every output must be the dropped value; one kept or non-finite element is a failure. A layer that "
        "refuses rate 1 is not accused (--strict accuses it).",
        remedy="1 / (1 - rate) divides by zero: select the dropped value instead of multiplying, or return zeros at rate 1.",
        resolution_words="a share of coins that are kept at rate 1",
        coarsest={"quick": 2**-8, "standard": 2**-9, "deep": 2**-12},
        observe=_one,
    ),
    Check(
        name="rate.rejects-invalid",
        claim="a rate that is no probability is refused, not obeyed",
        how="Rates -0.1, 1.5 and NaN must raise at construction or at the first call.",
        remedy="Validate with `if not 0 <= rate <= 1: raise ValueError`; written so, NaN is refused too.",
        observe=_invalid,
    ),
)
