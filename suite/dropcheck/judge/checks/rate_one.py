"""Rate 1: everything is dropped, or the rate is refused; a crash is no refusal."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.judge.checks import rate_edges as edges
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, settle, skipped
from dropcheck.judge.checks.exact_questions import (
    Layer,
    coins_of,
    dropped,
    probe,
)
from dropcheck.judge.checks.refusals import crashed_at_rate
from dropcheck.results.audit import Finding, Verdict
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding


def _one(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (reason := edges.fixed(bench, 1.0)) is not None:
        return [skipped(check, "rate=1", reason)]
    found = []
    pattern = bench.contract.pattern
    for dtype in bench.dtypes:
        where = f"{dtype} rate=1"
        coins = kept = 0
        seen = {"NaN": 0, "Inf": 0, "kept unchanged": 0, "other values": 0}
        total = 0
        try:
            for sizes in edges.shapes(bench):
                x = probe(pattern, dtype, *sizes)
                answer = Layer(bench, 1.0, dtype).call(x, times=edges.times(pattern, x.shape, limits))
                if answer.dtype != dtype or answer.shape != x.shape:
                    break
                for i in range(len(answer.raw)):
                    values = answer.values(i)
                    coins += coins_of(pattern, x.shape)
                    total += values.size
                    bad = ~dropped(values, bench, 1.0, dtype)
                    if bad.any():
                        kept += edges.marked(pattern, bad)
                        seen["NaN"] += (nan := int(np.count_nonzero(np.isnan(values))))
                        seen["Inf"] += (inf := int(np.count_nonzero(np.isinf(values))))
                        seen["kept unchanged"] += (same := int(np.count_nonzero(bad & (values == x))))
                        seen["other values"] += int(np.count_nonzero(bad)) - nan - inf - same
            if coins and not kept and (steps := edges.more(bench, limits, coins)):
                layer, values = Layer(bench, 1.0, dtype), np.asarray(rounding.pool(dtype, 509, 5))
                gone = rounding.dropped_bounds(1.0, bench.contract.dropped, dtype)
                at_once = edges.AT_ONCE if pattern.coins else len(steps)
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
            found.append(edges.malformed(check, where, answer, dtype, x))
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
                message + edges.short(resolution, limits),
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


def _refused(check: Check, bench: Bench, limits: Limits, where: str, dtype: str, refused: Refused) -> Finding:
    """Rate 1 that raises: a refusal drops nothing wrongly, and --strict wants the claim itself; a crash is a failure."""
    made = refused.where == "construct"
    if crashed_at_rate(refused, 1.0):
        place = "in the constructor" if made else "in the first call"
        text = f"the layer crashes at rate 1 {place}: {edges.raised(refused)}; expected zeros, or an error that names the rate"
        return finding(check, where, "fail", text, log10_evidence=-math.inf, tallies={"raised": refused.kind})
    bench.traits.setdefault("rate 1", {})[dtype] = f"rejected at the {refused.where}: {refused}"
    place = "the constructor rejects rate 1" if made else "the first call rejects rate 1"
    if refused.where == "unsupported":
        place = "rate 1 cannot be tested"
    verdict: Verdict = "fail" if limits.strict else "skipped"
    level = "trait" if limits.strict else None  # without --strict, a refusal is right
    return finding(check, where, verdict, f"{place} ({refused})", level=level)


CHECKS = (
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
)
