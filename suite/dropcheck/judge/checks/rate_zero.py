"""Rate 0: every output equals its input bit for bit, or is the input times the number of the contract."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks import rate_edges as edges
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, settle, skipped
from dropcheck.judge.checks.exact_questions import (
    Layer,
    coins_of,
    dropped,
    kept_bounds,
    telling,
)
from dropcheck.judge.checks.refusals import crashed_at_rate
from dropcheck.results.audit import Finding
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding


def _off(values: Any, x: Any, promise: Contract, dtype: str) -> Any:
    """Which elements are not x times the scale plus the offset of rate 0, to the rounding of the dtype."""
    low, high = kept_bounds(promise, x, 0.0, dtype)
    with np.errstate(invalid="ignore"):
        return ~((values >= low) & (values <= high))


def _zero(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (reason := edges.fixed(bench, 0.0)) is not None:
        return [skipped(check, "rate=0", reason)]
    found = []
    pattern = bench.contract.pattern
    for dtype in bench.dtypes:
        where = f"{dtype} rate=0"
        coins = leaks = changed = elements = 0
        promise = bench.contract
        scaled = (promise.scale_at(0.0), promise.offset_at(0.0)) != (1, 0)  # numbers: kept values change at every rate
        try:
            for sizes in edges.shapes(bench):
                x = telling(bench, 0.0, dtype, *sizes)
                layer = Layer(bench, 0.0, dtype)
                answer = layer.call(x, times=edges.times(pattern, x.shape, limits))
                bench.traits.setdefault("rate 0 returns the input itself", {})[dtype] = answer.same_object
                if answer.dtype != dtype or answer.shape != x.shape:
                    break
                right = rounding.to_dtype(x, dtype)
                for raw in answer.raw:
                    coins += coins_of(pattern, x.shape)
                    wrong = rounding.bits(raw, dtype) != rounding.bits(right, dtype)
                    if scaled:
                        wrong = _off(rounding.to_float64(raw, dtype), x, promise, dtype)
                    if wrong.any():
                        wrong = wrong.reshape(x.shape)
                        elements += int(np.count_nonzero(wrong))
                        changed += edges.marked(pattern, wrong)
                        leaks += edges.marked(
                            pattern, dropped(rounding.to_float64(raw, dtype), bench, 0.0, dtype) & wrong
                        )
            if coins and not changed and (steps := edges.more(bench, limits, coins)):
                values = telling(bench, 0.0, dtype, 509, 1, 1, pattern=Pattern.parse("n -> n"))
                bounds = rounding.bounds(values, 0.0, promise.scale, dtype, promise.offset) if scaled else None
                layer = Layer(bench, 0.0, dtype)
                at_once = edges.AT_ONCE if pattern.coins else len(steps)
                for start in range(0, len(steps), at_once):
                    some = steps[start : start + at_once]
                    for one in layer.alternate(values, some, bounds=bounds, compared=True):
                        if "wrong" not in one:
                            raise Refused("call", one.get("raised", "another shape"), one.get("message", ""), [])
                        coins += coins_of(pattern, some[0][0])
                        elements += one["wrong"]
                        # elements of a coin fall together: as many coins at least
                        changed += -(-one["wrong"] // pattern.shared_size(some[0][0]))
                        leaks += -(-one.get("zero", 0) // pattern.shared_size(some[0][0]))
                    if changed:
                        break
        except Refused as refused:
            text = (
                f"the layer crashes at rate 0: {refused}"
                if crashed_at_rate(refused, 0.0)
                else f"the layer rejects rate 0: {refused}"
            )
            found.append(finding(check, where, "fail", text, expected=0.0))
            continue
        if not coins:
            found.append(edges.malformed(check, where, answer, dtype, x))
            continue
        resolution = binomial.zero_tolerance_resolution(coins, limits.beta)
        if changed:
            message = (
                f"at rate 0, {leaks} of {coins} drop decisions {'is a drop' if leaks == 1 else 'are drops'}, expected none"
                if leaks
                else f"at rate 0 nothing drops, but {elements} elements change"
            )
            if changed > leaks:
                should = promise.kept_words(0.0) if scaled else "the input"
                message += f", and {elements} elements change" if leaks else ""
                message += f"; expected {should} bit for bit" if not scaled else f"; expected {should}"
        else:
            kept = promise.kept_words(0.0) if scaled else "the input bit for bit"
            message = f"rate 0 returns {kept} in {coins} drop decisions"
        found.append(
            finding(
                check,
                where,
                settle(changed > 0, resolution, limits.coarsest),
                message if changed else message + edges.short(resolution, limits),
                estimate=leaks / coins,
                expected=0.0,
                unit="share of drops",
                coins=coins,
                resolution=resolution,
                log10_evidence=-math.inf if changed else 0.0,
                tallies={"dropped": leaks, "changed": changed, "coins": coins, "elements": elements},
            )
        )
    return found


CHECKS = (
    Check(
        name="rate.zero",
        zero_events=True,
        forbidden=("changed",),
        coins_are="coins",
        how="At rate 0 every output must equal its input bit for bit, in every dtype. Where the contract's scale is a number, "
        "the output must be the input times that number. One drop is a failure. With --resolution, and in profile deep, "
        "larger calls follow until that detection limit is reached, at most 2^28 drop decisions per dtype.",
        remedy="Drop where `u < rate`, with uniform numbers u in [0, 1): then rate 0 never drops. `u <= rate` drops "
        "where u is 0, which is frequent in float16 and bfloat16. You can also return the input early if the rate is 0.",
        resolution_words="a share of drops at rate 0",
        coarsest={"quick": 2**-8, "standard": 2**-9, "deep": 2**-12},
        observe=_zero,
    ),
)
