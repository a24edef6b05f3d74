"""Sizes and rates of daily use, each in a few calls: powers of two, squares, long rows, large calls, with exact answers.

Code has branches by size: a kernel for batches of 32, a table for 256 channels, axes guessed from equal lengths, indices of 16
bits. Most of what goes wrong there shows in a few thousand coins. Deviations that take more are the business of counted cases.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from dropcheck.contract.cases import Case, seed_of
from dropcheck.judge.checks import wrong_values
from dropcheck.judge.checks.base import Bench, Check, Limits, finding
from dropcheck.judge.checks.daily_cases import cases
from dropcheck.judge.checks.daily_faults import (
    CALLS,
    CHANNEL,
    CHANNELS,
    COUNT,
    RATE,
    SAMPLE,
    SAMPLES,
    SHAPE,
    VALUES,
    WHOLE,
    Fault,
    mask_faults,
)
from dropcheck.judge.checks.refusals import crashed
from dropcheck.results.audit import Finding, Verdict
from dropcheck.results.plain_text import count as counted
from dropcheck.worker.client import Refused

OF_DAILY_USE = " of daily use"  # how the case of what holds at these sizes, or on such inputs, ends

# the order of judgement at one size: what follows from an earlier fault is not told again
ORDER = (SHAPE, WHOLE, CHANNELS, SAMPLES, CALLS, CHANNEL, SAMPLE, RATE, COUNT)


@dataclass
class Seen:
    """All that was asked: (case, check, what is wrong, log10 of its chance, verdict), and the coins of what is right."""

    faults: list[tuple[Case, str, str, float, Verdict]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    coins: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    examples: dict[Case, dict[str, float]] = field(default_factory=dict)  # a wrong value of each size that has some
    rates: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def seen(bench: Bench) -> Seen:
    """What the sweep shows, asked once."""
    if "daily sizes" not in bench.answers:
        bench.answers["daily sizes"] = _sweep(bench)
    found: Seen = bench.answers["daily sizes"]
    return found


def _answers(bench: Bench, some: list[Case]) -> Iterator[tuple[Case, dict[str, Any] | Refused]]:
    """The answer to each case, by a layer of its own; the session works on the next while one is looked at."""
    from dropcheck.count.gather import stream_request

    def submit(case: Case) -> None:
        stream = stream_request(case, bench.contract, seed_of(bench.seed, "daily", case))
        if case is not some[0] and stream["way"] == "global":
            stream["seed"] = None  # the stream of the first goes on: to seed a framework costs as much as a call
        bench.session.submit({"ask": "draw", "id": -2, "calls": case.calls, "stream": stream})
        bench.session.submit({"ask": "forget", "id": -2})

    for number, case in enumerate(some):
        if number == 0:
            submit(case)
        answer: dict[str, Any] | Refused
        try:
            answer = bench.session.collect()
        except Refused as refused:
            answer = refused
        bench.session.collect()
        if number + 1 < len(some):
            submit(some[number + 1])
        yield case, answer


def _sweep(bench: Bench) -> Seen:
    found, silent = Seen(), set[str]()
    some = cases(bench)
    for number, (case, answer) in enumerate(_answers(bench, some)):
        if isinstance(answer, Refused):
            if number == 0:  # others tell what a plain size shows
                return found
            if answer.where != "unsupported":
                text = f"the layer raises {answer} ({answer.where}), though it accepts other sizes"
                if crashed(answer):
                    found.faults.append((case, SHAPE, text, -math.inf, "fail"))
                else:
                    found.refused[f"{case.rows},{case.channels},{case.shared}"] = str(answer)
            continue
        faults = list(_faults(bench, case, answer))
        if number == 0:
            # what the control shows, and all that follows from it, is told by the counted cases
            silent = _following({check for check, _, _ in faults})
            continue
        if case.rate != some[0].rate:
            found.rates += 1
        for check, text, chance in faults:
            if check not in silent:
                found.faults.append((case, check, text, chance, "fail"))
                if check == VALUES and answer["proof"]["wrong_example"] is not None:
                    found.examples[case] = answer["proof"]["wrong_example"]
        for check in (*ORDER, VALUES):
            if check not in silent:
                found.sizes[check] += 1
                found.coins[check] += case.coins
    return found


def _following(faults: set[str]) -> set[str]:
    """The checks that say nothing at further sizes where the control has these faults."""
    silent = faults & {VALUES}
    first = next((number for number, check in enumerate(ORDER) if check in faults), len(ORDER))
    silent.update(ORDER[first:])
    return silent | {VALUES} if first <= ORDER.index(WHOLE) else silent


def _faults(bench: Bench, case: Case, answer: dict[str, Any]) -> Iterator[Fault]:
    """(check, what is wrong, log10 of its chance under the contract) at one size: the first of the order, and wrong values."""
    proof, packed = answer["proof"], answer.get("coins")
    if proof["malformed"]:
        bad = proof["malformed"]
        wrong = bad["error"] or f"a call returns {bad['dtype']} {tuple(bad['shape'] or ())}"
        yield SHAPE, f"{wrong} for an input of {case.dtype} {case.shapes(bench.contract.pattern)[0]}", -math.inf
        return
    if packed is None or proof["nonfinite"]:
        if proof["nonfinite"]:
            verb = "is" if proof["nonfinite"] == 1 else "are"
            text = f"{counted(proof['nonfinite'], 'element')} of {case.coins * case.shared} {verb} NaN or Inf"
            yield VALUES, text, -math.inf
        return
    if proof["wrong_values"]:
        text = f"{proof['wrong_values']} of {case.coins * case.shared} elements are neither dropped nor the input times the scale"
        yield VALUES, text, -math.inf
        if bench.contract.dropped != 0 or proof["wrong_values"] > case.coins * case.shared // 10:
            return  # drops may be among them
    if proof["violations"]:
        text = f"{proof['violations']} of {case.coins} drop decisions have dropped and kept elements, expected none"
        yield WHOLE, text, -math.inf
        return
    yield from mask_faults(bench, case, packed)


_WORDS = {
    SHAPE: "the output has the shape and dtype of the input",
    WHOLE: "elements are dropped or kept together as the pattern declares",
    VALUES: "every kept value is right",
    RATE: "the drop rate is the requested rate, within the precision of few calls",
    CALLS: "no call has the mask of another",
    SAMPLES: "no sample has the mask of another",
    CHANNELS: "no channel has the mask of another",
    CHANNEL: "no channel always or never drops",
    SAMPLE: "no batch position always or never drops",
    COUNT: "the number of drops varies from sample to sample",
}


def at_sizes(name: str) -> Callable[[Check, Bench, Limits], list[Finding]]:
    """The question of check ``name`` at sizes and rates of daily use: one finding, or one for each size that fails."""

    def observe(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
        if name == WHOLE and not bench.contract.pattern.shared:
            return []
        told = seen(bench)
        faults = [one for one in told.faults if one[1] == name]
        found: list[Finding] = []
        for case, _, text, log, verdict in faults[:3]:
            more = len(faults) - 3 if len(found) == 2 else 0
            tail = f"; {counted(more, 'other size')} fail{'s' if more == 1 else ''} in the same way" if more > 0 else ""
            # a number of calls with which the counted check of the same name has enough coins
            replayed = replace(case, calls=max(case.calls, min(256, -(-(1 << 17) // max(1, case.coins // case.calls)))))
            tallies: dict[str, Any] = {"sizes": 1}
            if more > 0:
                tallies["others"] = [str(one[0]) for one in faults[3:]]
            numbers: dict[str, Any] = {}
            if name == VALUES and case in told.examples:
                value = told.examples[case]
                factor = wrong_values.factor_of(value, bench.contract.offset_at(case.rate))
                text, tallies["example"] = f"{text}; {wrong_values.shown(value, factor)}", value
                numbers = {
                    "estimate": factor,
                    "expected": bench.contract.scale_at(case.rate),
                    "unit": wrong_values.UNIT,
                }
            found.append(
                finding(
                    check,
                    replayed,
                    verdict,
                    text + tail,
                    log10_evidence=log,
                    coins=case.coins,
                    tallies=tallies,
                    **numbers,
                )
            )
        if not found and told.sizes[name] > 0 and bench.named:
            alone = [c for c in cases(bench)[1:] if not check.asks(c, bench.profile)]
            words = f"in few calls of this size, {_WORDS[name]}"
            return [finding(check, one, "pass", words, coins=told.coins[name]) for one in alone]
        if not found and told.sizes[name] > 0:
            kinds = f"{told.sizes[name] - told.rates} sizes"
            kinds += f" and {told.rates} more rates" if told.rates else ""
            where = f"{bench.first} sizes{OF_DAILY_USE}"
            text = f"at {kinds}, {_WORDS[name]}"
            if name == SHAPE and told.refused:
                size, words = next(iter(told.refused.items()))
                text += f"; the layer rejects {counted(len(told.refused), 'size')}, {size} with {words}"
            tallies = {"sizes": told.sizes[name] - told.rates, "rates": told.rates}
            found.append(finding(check, where, "pass", text, coins=told.coins[name], tallies=tallies))
        return found

    return observe
