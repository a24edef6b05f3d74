"""Sizes that change within one layer: channels and lengths, inputs without channels, and the law at further ranks."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.contract.promise import Pattern
from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, by_coin, dropped, ladder, probe, telling
from dropcheck.judge.checks.refusals import crashed
from dropcheck.judge.checks.visible import right_values
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import percent
from dropcheck.statistics import binomial
from dropcheck.worker.client import Refused

# rows, channels, shared: wider, narrower, longer, shorter than the first
_CHANGING = ((33, 65, 3), (33, 129, 3), (33, 17, 3), (33, 65, 17), (33, 65, 2))
# No share of ALPHA: at this level eight ranks of four calls accuse a right layer with probability below 10^-11.
_IMPOSSIBLE = -12.0


def _rate(bench: Bench) -> float:
    return ladder(bench, (0.3,))[0]


def _drop_share(pattern: Pattern, gone: np.ndarray) -> tuple[int, int]:
    """Coins of which all elements are dropped, and all coins."""
    coins = by_coin(pattern, gone).all(axis=1)
    return int(coins.sum()), len(coins)


def _too_alike(drops: int, count: int, ratio: float) -> bool:
    """Whether all of ``count`` coins fell alike where chance cannot explain it at the first call's share of drops."""
    if drops not in (0, count):
        return False
    return count * math.log10(ratio if drops else 1 - ratio) < _IMPOSSIBLE


def changing(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """One layer on other widths and lengths than its first: shape, values and the share of drops of every call.

    The share is held against the first call's: fewer than 2000 coins that a defect leaves without a drop, or with drops
    alone, are seen; smaller deviations are the business of ``rate.per-shape``.
    """
    rate, dtype, pattern = _rate(bench), bench.first, bench.contract.pattern
    where = f"{dtype} rate={rate:g} widths and lengths"
    sizes = [s for s in _CHANGING if (pattern.channel_axis or s[1] == 65) and (pattern.shared or s[2] == 3)]
    if len(sizes) < 2:
        return []
    problem = None
    layer, ratio, first = Layer(bench, rate), 0.0, ()
    for number, size in enumerate(sizes):
        try:
            x = telling(bench, rate, dtype, *size, seed=5 + number)
            answer = layer.call(x)
        except Refused as refused:
            if number == 0 or refused.where == "unsupported":
                return [skipped(check, where, str(refused))]
            if crashed(refused):
                problem = f"an input of shape {x.shape} after one of {first} raises {refused}"
                break
            continue  # a layer may be built for one width
        if number == 0:
            first = x.shape
        if answer.shape != x.shape or answer.dtype != dtype:
            if number:
                problem = f"an input of shape {x.shape} after one of {first} gives {answer.dtype} {answer.shape}"
            else:
                return [skipped(check, where, "the output has another shape or dtype (see form.shape-dtype)")]
            break
        values = answer.values()
        gone = dropped(values, bench, rate, dtype)
        coins = by_coin(pattern, gone)
        torn = int(np.count_nonzero(coins.any(axis=1) != coins.all(axis=1)))
        wrong = int(np.count_nonzero(~gone & ~right_values(bench, x, values, rate, dtype)))
        drops, count = _drop_share(pattern, gone)
        if number == 0:
            if torn or wrong:
                text = "the first call is wrong already (see mask.whole-channels and scale.kept-values)"
                return [skipped(check, where, text)]
            ratio = drops / count
            continue
        if torn:
            problem = f"{torn} of {count} drop decisions have dropped and kept elements"
        elif wrong:
            problem = f"{wrong} of {values.size} elements are neither dropped nor the input times the scale"
        elif 0 < ratio < 1 and _too_alike(drops, count, ratio):
            problem = f"{'nothing' if drops == 0 else 'everything'} is dropped in {count} drop decisions"
        if problem:
            problem = f"in a call of shape {x.shape} after one of {first}, {problem}"
            break
    return [
        exact(
            check,
            where,
            problem or "",
            "the layer accepts or rejects other numbers of channels and other lengths",
            coins=sum(r * c for r, c, _ in sizes) if not problem else 0,
        )
    ]


def no_channels(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Inputs without channels, and every dtype without rows; the first dtype alone where every dtype is compiled."""
    pattern, rate = bench.contract.pattern, _rate(bench)
    others = () if bench.info.get("heavy") else bench.dtypes[1:]
    asked = []
    if pattern.channel_axis is not None:
        asked += [(bench.first, "no channels", (4, 0, 3), mode) for mode in (True, False)]
    if pattern.row_axes:
        asked += [(dtype, "no rows", (0, 8, 3), mode) for dtype in others for mode in (True, False)]
    found = []
    for dtype, name, sizes, training in asked:
        if not training and not bench.info.get("inference", True):
            continue
        where = f"{dtype} {name}" + ("" if training else " inference")
        x = probe(pattern, dtype, *sizes)
        try:
            answer = Layer(bench, rate, dtype).call(x, training=training)
        except Refused as refused:
            if refused.where == "unsupported":
                found.append(skipped(check, where, str(refused)))
            elif crashed(refused):
                text = f"the layer crashes on an empty input ({name}): {refused}"
                found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
            else:
                found.append(finding(check, where, "pass", f"the layer rejects an empty input ({name}): {refused}"))
            continue
        problem = ""
        if (answer.shape, answer.dtype) != (x.shape, dtype):
            problem = f"an empty input ({name}) gives {answer.dtype} {answer.shape}, expected {dtype} {x.shape}"
        found.append(exact(check, where, problem, f"an empty input ({name}) works"))
    return found


def law_at_ranks(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """At every declared rank: the rate, new coins at every call, and inference."""
    rate, dtype, found = _rate(bench), bench.first, list[Finding]()
    identity = bench.info.get("inference", True) and bench.contract.inference == "identity"
    for pattern in bench.contract.ranks:
        where = f"{dtype} rate={rate:g} '{pattern}'"
        x = telling(bench, rate, dtype, 33, 129, 6, pattern=pattern)
        try:
            layer = Layer(bench, rate)
            answer = layer.call(x, times=4)
            quiet = layer.call(x, training=False) if identity else None
        except Refused:
            continue  # the check's own question names it
        if answer.shape != x.shape or answer.dtype != dtype:
            continue
        gone = [dropped(answer.values(i), bench, rate, dtype) for i in range(4)]
        drops, count = (sum(n) for n in zip(*(_drop_share(pattern, g) for g in gone), strict=True))
        problem = None
        log = binomial.log10_outside(drops, count, rate, bench.contract.rate_tolerance(rate))
        # two independent calls of n coins agree with probability (p^2 + q^2)^n
        agree = count / 4 * math.log10(rate**2 + (1 - rate) ** 2)
        if log < _IMPOSSIBLE:
            problem = f"the layer drops with probability {drops / count:.4g}, expected {rate:g}"
        elif agree < _IMPOSSIBLE and any(np.array_equal(gone[i], gone[j]) for i in range(4) for j in range(i)):
            problem = "two calls have the same mask"
        elif quiet is not None and (quiet.shape != x.shape or not np.array_equal(quiet.values(), x)):
            changed = float(np.mean(quiet.values() != x)) if quiet.shape == x.shape else 1.0
            problem = f"inference changes {percent(changed)} of its input"
        text = f"for '{pattern}', {problem}" if problem else f"rate, calls and inference are right for '{pattern}'"
        found.append(
            finding(
                check,
                f"{where} law",
                "fail" if problem else "pass",
                text,
                log10_evidence=(log if log < _IMPOSSIBLE else -math.inf) if problem else 0.0,
                coins=count,
            )
        )
    return found
