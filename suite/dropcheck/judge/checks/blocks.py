"""Contracts of overlapping blocks: their coins are read on a grid of positions a block apart, and judged like any others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from dropcheck.contract import blocks
from dropcheck.contract.cases import LADDER, Case
from dropcheck.contract.promise import Pattern
from dropcheck.count.coins import Bytes
from dropcheck.count.counting import tally
from dropcheck.count.gather import look_for_repeats
from dropcheck.count.gathered import Gathered
from dropcheck.count.repeated_words import searched
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, Values, by_coin, dropped, kept_bounds, probe
from dropcheck.judge.checks.visible import follows
from dropcheck.results.audit import Finding
from dropcheck.worker.server.coinwise import pack

WHOLE = "mask.whole-channels"
_COINS = {"quick": 300_000, "standard": 2_000_000, "deep": 10_000_000}  # of one case
_A_CALL = 150_000  # elements, about: more than float16 counts
_AT_ONCE = 1 << 21  # elements of one request
_RATES = (0.1, 0.3, 0.5)
COARSER = 4.0  # a coin of the grid costs more than a dozen elements: fewer are asked; see ``base.allowance``

# what is told by words of coins that must not depend on each other, or by a rate that a block does not have
UNASKED = {
    "rate.one": "with overlapping blocks, rate 1 drops a position with probability {one:.4g} only",
    **dict.fromkeys(
        ("seed.instances", "form.copies", "rate.set-later", "mode.settings", "mode.threads"),
        "not tested with overlapping blocks: the check needs independent drop decisions",
    ),
    **dict.fromkeys(
        ("seed.distinct", "seed.neighbours", "mask.ignores-values", "rate.per-shape"),
        "not tested with overlapping blocks: its cases have no grid of positions",
    ),
}


@dataclass(frozen=True)
class Read:
    """Calls of one layer: the coins of the grid as a case, and what their elements show. ``text``: the case's name."""

    text: str
    got: Gathered
    rate: float
    elements: int
    uncovered: int
    example: tuple[int, ...]


def asked(check: Check, bench: Bench, limits: Limits, profile: str) -> list[Finding]:
    """All findings of one check under a contract of overlapping blocks."""
    if check.name in UNASKED:
        return [skipped(check, "blocks", UNASKED[check.name].format(one=blocks.drops_at(bench.contract, 1.0)))]
    found = check.observe(check, bench, limits) if check.observe is not None else []
    if check.name == "gradient.edges":
        text = UNASKED["rate.one"].format(one=blocks.drops_at(bench.contract, 1.0))
        found = [skipped(check, one.case, text) if "rate=1 " in one.case else one for one in found]
    if check.judge is None:
        return found
    for read in _reads(bench):
        if isinstance(read, Finding):
            found.append(msgspec.structs.replace(read, check=check.name))
            continue
        if check.name == WHOLE:
            found.append(_whole(check, read))
            continue
        if check.wants is None or not check.wants(read.got.case):
            continue
        own = check.limits(profile, read.got.case, limits.strict, bench.resolution)
        if own.coarsest is not None and bench.resolution is None:
            own = replace(own, coarsest=min(check.most, COARSER * own.coarsest))
        if check.reach is not None and own.coarsest is not None and check.reach(read.got.case, own) > own.coarsest:
            continue  # too few coins for a pass, whatever they show
        one = check.judge(check, read.got, own)
        if one is not None:
            if one.alpha is None and math.isfinite(own.alpha):
                one = msgspec.structs.replace(one, alpha=own.alpha)
            found.append(msgspec.structs.replace(one, case=read.text, message=_words(check, one, read)))
    return found or [skipped(check, "blocks", "no case of overlapping blocks has enough drop decisions for this check")]


def _words(check: Check, one: Finding, read: Read) -> str:
    """The drop rate of a position is not the rate of the layer: the message has both."""
    if check.name != "rate.marginal":
        return one.message
    return (
        f"{one.message} (a position in blocks of {_sizes(read.got.contract.pattern)}; the layer has rate {read.rate:g})"
    )


def _sizes(pattern: Pattern) -> str:
    return " x ".join(str(k) for _, k in pattern.blocks)


def _whole(check: Check, read: Read) -> Finding:
    """Elements that share a coin fall together, and every dropped one lies in a dropped block."""
    got, pattern = read.got, read.got.contract.pattern
    torn, coins = got.proof["violations"], got.tally.coins
    tallies = {"disagreeing": torn + read.uncovered, "coins": max(coins, torn + read.uncovered)}
    numbers: dict[str, Any] = dict(
        expected=0.0, unit="share of decisions whose elements disagree", coins=tallies["coins"], tallies=tallies
    )
    if torn:
        text = f"{torn} drop decisions have dropped and kept elements along {' '.join(pattern.shared)}, expected none"
    elif read.uncovered:
        text = (
            f"{read.uncovered} dropped elements of {read.elements} lie outside of a dropped block of {_sizes(pattern)}, expected "
            f"none; the first is at {read.example}"
        )
    else:
        text = f"all dropped elements of {read.elements} lie in dropped blocks of {_sizes(pattern)}"
        return finding(check, read.text, "pass", text, estimate=0.0, log10_evidence=0.0, **numbers)
    share = tallies["disagreeing"] / tallies["coins"]
    return finding(check, read.text, "fail", text, estimate=share, log10_evidence=-math.inf, **numbers)


def _reads(bench: Bench) -> list[Read | Finding]:
    """The cases, asked once for all checks."""
    if "blocks" not in bench.answers:
        bench.answers["blocks"] = [
            _read(bench, dtype, rate)
            for dtype in bench.dtypes
            for rate in _rates(bench, dtype)
            if 0 < blocks.drops_at(bench.contract, rate) < 1
        ]
    found: list[Read | Finding] = bench.answers["blocks"]
    return found


def _rates(bench: Bench, dtype: str) -> Sequence[float]:
    known = bench.contract.rates or (bench.rates if set(bench.rates) != set(LADDER) else _RATES)
    return known if dtype == bench.first else known[len(known) // 2 :][:1]


def _shape(pattern: Pattern) -> tuple[int, ...]:
    """Sizes of a call: of batch and channels about as many, of shared axes few."""
    sizes = dict(pattern.sizes)
    free = [a for a in pattern.axes if a not in sizes and a in pattern.coins]
    few = {a: 2 for a in pattern.axes if a not in sizes and a not in pattern.coins}
    left = _A_CALL / math.prod([*sizes.values(), *few.values()])
    each = max(3, round(left ** (1 / max(1, len(free)))))
    return tuple({**few, **dict.fromkeys(free, each), **sizes}[a] for a in pattern.axes)


def _read(bench: Bench, dtype: str, rate: float) -> Read | Finding:
    pattern, contract = bench.contract.pattern, bench.contract
    shape = _shape(pattern)
    layer = Layer(bench, rate, dtype)
    pool = np.resize(probe(Pattern.parse("n -> n"), dtype, 509, 1, 1), math.prod(shape))
    x = pool.reshape(shape)
    one = blocks.coins_on_grid(pattern, np.zeros(shape, bool))
    calls = max(2, -(-_COINS.get(bench.profile, _COINS["quick"]) // one.size))
    text = f"{dtype} rate={rate:g} blocks {'x'.join(map(str, shape))} in {calls} calls"
    proof = dict.fromkeys(("violations", "wrong_values", "nonfinite", "nan", "changed_inputs"), 0)
    examples: dict[str, Any] = {}
    packed: list[Bytes] = []
    uncovered, place = 0, tuple[int, ...]()
    while len(packed) < calls:
        answer = layer.call(x, times=min(calls - len(packed), max(1, _AT_ONCE // x.size)))
        if answer.dtype != dtype or answer.shape != x.shape:
            asked_for = f"{dtype} {x.shape}"
            words = follows("form.shape-dtype", f"{asked_for} comes out as {answer.dtype} {answer.shape}")
            return Finding(check=WHOLE, case=text, verdict="skipped", message=words)
        for number in range(len(answer.raw)):
            y = answer.values(number)
            gone = dropped(y, bench, rate, dtype)
            packed.append(pack(np.ascontiguousarray(blocks.coins_on_grid(pattern, gone))))
            by = by_coin(pattern, gone)
            proof["violations"] += int(np.count_nonzero(by.any(axis=1) != by.all(axis=1)))
            count_values(bench, x, y, gone, rate, dtype, proof, examples)
            odd = blocks.uncovered(pattern, gone)
            if odd.any():
                place = place or tuple(int(i) for i in np.argwhere(odd)[0])
                uncovered += int(np.count_nonzero(odd))
    rows, channels = one.shape
    case = Case(dtype, blocks.drops_at(contract, rate), rows, channels, pattern.shared_size(shape), calls)
    coins = np.concatenate(packed)
    counts = tally(coins, case.channels, case.rows)
    got = Gathered(case, contract, counts, {**proof, "wrong_example": None, "example": None, **examples}, coins)
    if searched(case):
        look_for_repeats(got, alpha_of_words(bench.profile) / 2)
    return Read(text, got, rate, calls * x.size, uncovered, place)


def alpha_of_words(profile: str) -> float:
    from dropcheck.judge.checks import CHECK

    return CHECK["mask.distinct-calls"].limits(profile).alpha


def count_values(
    bench: Bench,
    x: Values,
    y: Values,
    gone: Any,
    rate: float,
    dtype: str,
    proof: dict[str, int],
    examples: dict[str, Any],
) -> None:
    """Count kept values that are wrong, and keep the first of them."""
    low, high = kept_bounds(bench.contract, x, rate, dtype, of=y)
    with np.errstate(invalid="ignore"):
        wrong = ~gone & ~((y >= low) & (y <= high))
    if not wrong.any():
        return
    proof["wrong_values"] += int(np.count_nonzero(wrong))
    proof["nonfinite"] += int(np.count_nonzero(~np.isfinite(y[wrong])))
    proof["nan"] += int(np.count_nonzero(np.isnan(y[wrong])))
    if "wrong_example" not in examples:
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        examples["wrong_example"] = {
            "place": list(at),
            "input": float(x[at]),
            "output": float(y[at]),
            "low": float(low[at]),
            "high": float(high[at]),
        }
