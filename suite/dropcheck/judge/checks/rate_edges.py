"""The edges of the rate: 0, 1, and invalid rates."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from dropcheck.contract.promise import Contract, Pattern
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, settle, skipped
from dropcheck.judge.checks.exact_questions import (
    Answer,
    Layer,
    Step,
    by_coin,
    coins_of,
    dropped,
    enough,
    kept_bounds,
    probe,
    telling,
)
from dropcheck.judge.checks.refusals import crashed_at_rate
from dropcheck.results.audit import Finding, Verdict
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

_LARGE = (1025, 1023, 1)  # sizes of the calls that a fine resolution takes: a million coins each
_MOST = 2**28  # coins that an edge is asked at most
_DEEP = 1e-7  # profile deep looks for events as rare: uniform numbers that round to 1 have 2**-25
_LONGEST = 160  # characters of an exception in a message
_MOST_CALLS = 20_000  # further calls that it is asked at most
_AT_ONCE = 8  # large calls in one request

_SHAPES = {"quick": ((33, 65, 3),), "standard": ((1025, 65, 3), (1, 8193, 2), (257, 3, 4))}


def _fixed(bench: Bench, rate: float) -> str | None:
    if bench.contract.rates is not None and rate not in bench.contract.rates:
        return f"the layer has the fixed rate {', '.join(f'{r:g}' for r in bench.contract.rates)}"
    return None


def _malformed(check: Check, where: str, answer: Answer, dtype: str, x: Any) -> Finding:
    """Nothing was measured: neither a pass nor this claim's failure, which ``form.shape-dtype`` is where it is selected."""
    text = f"a call returns {answer.dtype} {answer.shape} for an input of {dtype} {x.shape} (see form.shape-dtype)"
    return finding(check, where, "inconclusive", text)


def _off(values: Any, x: Any, promise: Contract, dtype: str) -> Any:
    """Which elements are not x times the scale plus the offset of rate 0, to the rounding of the dtype."""
    low, high = kept_bounds(promise, x, 0.0, dtype)
    with np.errstate(invalid="ignore"):
        return ~((values >= low) & (values <= high))


def _shapes(bench: Bench) -> list[tuple[int, int, int]]:
    """Sizes of the calls: as many coins for a pattern that lacks rows or channels as for one that has both."""
    return [enough(bench.contract.pattern, *s) for s in _SHAPES.get(bench.profile, _SHAPES["standard"])]


def _times(pattern: Pattern, shape: tuple[int, ...], limits: Limits) -> int:
    """Calls of one shape: four, or, where a call has a single coin, as many as the coarsest resolution takes."""
    one = coins_of(pattern, shape)
    if pattern.coins or limits.coarsest is None:
        return 4
    return max(4, min(8192, -(-binomial.zero_tolerance_coins(limits.coarsest, limits.beta) // max(1, one))))


def _coins(pattern: Pattern, elements: Any) -> int:
    """Coins of which at least one element is marked."""
    return int(np.count_nonzero(by_coin(pattern, elements).any(axis=1)))


def _more(bench: Bench, limits: Limits, coins: int) -> list[Step]:
    """Further calls that bring the coins of an edge up to the resolution wanted: one event is proof, a coin is cheap.

    After ln(1 / beta) / r coins an event of probability r has escaped with probability beta at most. Large calls, except
    where a whole call has one coin.
    """
    wanted = _DEEP if bench.profile == "deep" and bench.resolution is None else limits.coarsest
    if not wanted:
        return []
    pattern = bench.contract.pattern
    shape = pattern.shape(*(enough(pattern, *_LARGE) if pattern.coins else (1, 1, 60)))
    one = coins_of(pattern, shape)
    need = min(_MOST, binomial.zero_tolerance_coins(wanted, limits.beta)) - coins
    return [(shape, True, False, "")] * min(_MOST_CALLS, -(-max(0, need) // one))


def _zero(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (reason := _fixed(bench, 0.0)) is not None:
        return [skipped(check, "rate=0", reason)]
    found = []
    pattern = bench.contract.pattern
    for dtype in bench.dtypes:
        where = f"{dtype} rate=0"
        coins = leaks = changed = elements = 0
        promise = bench.contract
        scaled = (promise.scale_at(0.0), promise.offset_at(0.0)) != (1, 0)  # numbers: kept values change at every rate
        try:
            for sizes in _shapes(bench):
                x = telling(bench, 0.0, dtype, *sizes)
                layer = Layer(bench, 0.0, dtype)
                answer = layer.call(x, times=_times(pattern, x.shape, limits))
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
                        changed += _coins(pattern, wrong)
                        leaks += _coins(pattern, dropped(rounding.to_float64(raw, dtype), bench, 0.0, dtype) & wrong)
            if coins and not changed and (steps := _more(bench, limits, coins)):
                values = telling(bench, 0.0, dtype, 509, 1, 1, pattern=Pattern.parse("n -> n"))
                bounds = rounding.bounds(values, 0.0, promise.scale, dtype, promise.offset) if scaled else None
                layer = Layer(bench, 0.0, dtype)
                at_once = _AT_ONCE if pattern.coins else len(steps)
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
            found.append(_malformed(check, where, answer, dtype, x))
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
                message if changed else message + _short(resolution, limits),
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


def _short(resolution: float, limits: Limits) -> str:
    """That the resolution asked for takes more coins than are asked."""
    if limits.coarsest is None or resolution <= limits.coarsest:
        return ""
    need = binomial.zero_tolerance_coins(limits.coarsest, limits.beta)
    return f"; to detect a share of {limits.coarsest:g} takes {need:,} drop decisions, above the limit"


def _one(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (reason := _fixed(bench, 1.0)) is not None:
        return [skipped(check, "rate=1", reason)]
    found = []
    pattern = bench.contract.pattern
    for dtype in bench.dtypes:
        where = f"{dtype} rate=1"
        coins = kept = 0
        seen = {"NaN": 0, "Inf": 0, "kept unchanged": 0, "other values": 0}
        total = 0
        try:
            for sizes in _shapes(bench):
                x = probe(pattern, dtype, *sizes)
                answer = Layer(bench, 1.0, dtype).call(x, times=_times(pattern, x.shape, limits))
                if answer.dtype != dtype or answer.shape != x.shape:
                    break
                for i in range(len(answer.raw)):
                    values = answer.values(i)
                    coins += coins_of(pattern, x.shape)
                    total += values.size
                    bad = ~dropped(values, bench, 1.0, dtype)
                    if bad.any():
                        kept += _coins(pattern, bad)
                        seen["NaN"] += (nan := int(np.count_nonzero(np.isnan(values))))
                        seen["Inf"] += (inf := int(np.count_nonzero(np.isinf(values))))
                        seen["kept unchanged"] += (same := int(np.count_nonzero(bad & (values == x))))
                        seen["other values"] += int(np.count_nonzero(bad)) - nan - inf - same
            if coins and not kept and (steps := _more(bench, limits, coins)):
                layer, values = Layer(bench, 1.0, dtype), np.asarray(rounding.pool(dtype, 509, 5))
                gone = rounding.dropped_bounds(1.0, bench.contract.dropped, dtype)
                at_once = _AT_ONCE if pattern.coins else len(steps)
                for start in range(0, len(steps), at_once):
                    some = steps[start : start + at_once]
                    for one in layer.alternate(values, some, gone=gone):
                        if "gone" not in one:
                            raise Refused("call", one.get("raised", "another shape"), one.get("message", ""), [])
                        coins, total = coins + coins_of(pattern, some[0][0]), total + one["size"]
                        left = one["size"] - one["gone"]
                        seen["other values"] += left
                        kept += -(-left // pattern.shared_size(some[0][0]))
                    if kept:
                        break
        except Refused as refused:
            found.append(_refused(check, bench, limits, where, dtype, refused))
            continue
        if not coins:
            found.append(_malformed(check, where, answer, dtype, x))
            continue
        resolution = binomial.zero_tolerance_resolution(coins, limits.beta)
        message = f"rate 1 drops everything in {coins} drop decisions, without NaN or Inf"
        if kept:
            parts = [f"{'all' if n == total else n} elements are {what}" for what, n in seen.items() if n]
            message = f"at rate 1, {', '.join(parts)}; expected that everything is dropped"
        found.append(
            finding(
                check,
                where,
                settle(kept > 0, resolution, limits.coarsest),
                message + _short(resolution, limits),
                estimate=kept / coins,
                expected=0.0,
                unit="share that is kept",
                coins=coins,
                resolution=resolution,
                log10_evidence=-math.inf if kept else 0.0,
                tallies={
                    "kept": kept,
                    "nonfinite": seen["NaN"] + seen["Inf"],
                    "coins": coins,
                    "elements": {k: n for k, n in seen.items() if n},
                },
            )
        )
    return found


def _words(refused: Refused) -> str:
    """The exception in a line: without the colours of a terminal, and without the arguments that some frameworks list."""
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", refused.message).partition("Arguments received")[0].split())
    return f"{refused.kind}: {plain[:_LONGEST]}" if plain else refused.kind


def _refused(check: Check, bench: Bench, limits: Limits, where: str, dtype: str, refused: Refused) -> Finding:
    """Rate 1 that raises: a refusal drops nothing wrongly, and --strict wants the claim itself; a crash is a failure."""
    made = refused.where == "construct"
    if crashed_at_rate(refused, 1.0):
        place = "in the constructor" if made else "in the first call"
        text = (
            f"the layer crashes at rate 1 {place}: {_words(refused)}; expected zeros, or an error that names the rate"
        )
        return finding(check, where, "fail", text, log10_evidence=-math.inf, tallies={"raised": refused.kind})
    bench.traits.setdefault("rate 1", {})[dtype] = f"rejected at the {refused.where}: {refused}"
    place = "the constructor rejects rate 1" if made else "the first call rejects rate 1"
    if refused.where == "unsupported":
        place = "rate 1 cannot be tested"
    verdict: Verdict = "fail" if limits.strict else "skipped"
    level = "trait" if limits.strict else None  # without --strict, a refusal is right
    return finding(check, where, verdict, f"{place} ({refused})", level=level)


def _invalid(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if bench.contract.rates is not None:
        return [skipped(check, "invalid rates", str(_fixed(bench, -1.0)))]
    found = []
    pattern = bench.contract.pattern
    for name, rate in (("-0.1", -0.1), ("1.5", 1.5), ("nan", math.nan)):
        where = f"rate={name}"
        x = probe(pattern, bench.first, *enough(pattern, 33, 65, 3))
        try:
            answer = Layer(bench, rate).call(x)
        except Refused as refused:
            if refused.where == "unsupported":
                found.append(skipped(check, where, str(refused)))
                continue
            place = "the constructor" if refused.where == "construct" else "the first call"
            if crashed_at_rate(refused, rate):
                text = f"at rate {name} {place} crashes: {_words(refused)}; expected an error that names the rate"
                found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
                continue
            found.append(finding(check, where, "pass", f"{place} rejects rate {name} ({refused})"))
            continue
        share, did = _did(x, answer, bench)
        found.append(
            finding(
                check,
                where,
                "fail",
                f"accepted rate {'NaN' if name == 'nan' else name} and {did}, expected an error",
                estimate=share,
                unit="share of elements that are dropped",
                log10_evidence=-math.inf,
                coins=coins_of(pattern, x.shape),
            )
        )
    return found


def _did(x: Any, answer: Answer, bench: Bench) -> tuple[float, str]:
    """The share of dropped elements of a call at an invalid rate, and what the call did in words."""
    values = answer.values()
    if values.shape != x.shape or not values.size:
        return 0.0, f"returned {answer.dtype} {answer.shape}"
    constant = 0.0 if bench.contract.dropped == "alpha" else float(bench.contract.dropped)
    share = float(np.mean(values == constant))
    bad = float(np.mean(~np.isfinite(values)))
    if bad:
        return share, f"returned NaN or Inf in {100 * bad:.3g} % of the elements"
    if share == 1:
        return share, "dropped everything"
    if share == 0:
        return share, "returned its input" if np.array_equal(values, x) else "dropped nothing, but changed the values"
    return share, f"dropped {100 * share:.3g} % of the elements"


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
    Check(
        name="rate.one",
        zero_events=True,
        forbidden=("kept", "nonfinite"),
        coins_are="coins",
        how="At rate 1 every element must be dropped: one kept, NaN or Inf element is a failure. A layer may also reject rate "
        "1, except under --strict. A rejection is an error that names the rate or shows its value, or a ValueError, TypeError "
        "or AssertionError without text. Any other exception, such as a division by zero, is a crash and a failure. With "
        "--resolution, and in profile deep, larger calls follow.",
        remedy="Return zeros at rate 1, for example `if self.p == 1: return torch.zeros_like(x)`. Or select instead of "
        "multiplying: `torch.where(keep, x * scale, 0)`, `jnp.where(...)`, `keras.ops.where(...)`, with a finite scale: "
        "1 / (1 - rate) divides by zero.",
        resolution_words="a share that is kept at rate 1",
        coarsest={"quick": 2**-8, "standard": 2**-9, "deep": 2**-12},
        observe=_one,
    ),
    Check(
        name="rate.rejects-invalid",
        how="The rates -0.1, 1.5 and NaN must raise an error in the constructor or in the first call. The error must name the "
        "rate or show its value. A crash, such as a math domain error, does not count as a rejection.",
        remedy='Validate in the constructor: `if not 0 <= rate <= 1: raise ValueError(f"rate must lie in [0, 1], not '
        '{rate}")`. Written like this, NaN is rejected, too.',
        observe=_invalid,
    ),
)
