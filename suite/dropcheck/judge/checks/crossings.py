"""Where two circumstances meet: edge rates with inference, recording with dtypes, an earlier result with another mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, skipped
from dropcheck.judge.checks.exact_questions import OUTPUT_SHAPE, Layer, ladder, probe
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import percent
from dropcheck.worker.client import Refused


def _rates(bench: Bench) -> tuple[float, ...]:
    return (0.3, 0.0, 1.0) if bench.contract.rates is None else bench.contract.rates[:1]


def recorded_and_edges(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Shape and dtype where an input is recorded, and of inference at the edges of the rate."""
    found = []
    asked = [(rate, training, True) for rate in _rates(bench) for training in (True, False)]
    asked += [(rate, False, False) for rate in _rates(bench)[1:]]
    for dtype in bench.dtypes:
        for rate, training, record in asked:
            if (record and not bench.info["gradients"]) or not (training or bench.info.get("inference", True)):
                continue
            where = f"{dtype} rate={rate:g}" + (" inference" if not training else "") + (" grad" if record else "")
            x = probe(bench.contract.pattern, dtype, 33, 65, 3)  # a shape that form.shape-dtype asks, too
            try:
                answer = Layer(bench, rate, dtype).call(x, training=training, record=record)
            except Refused:
                continue  # judged without recording, and by rate.one
            wrong = [f"a {dtype} input gives a {answer.dtype} output"] if answer.dtype != dtype else []
            wrong += [f"an input of shape {x.shape} {OUTPUT_SHAPE} {answer.shape}"] if answer.shape != x.shape else []
            found.append(exact(check, where, "; ".join(wrong), "the output has the shape and dtype of the input"))
    return found


def mode_after(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """The input at rate 1 and under recording; an earlier result while the mode changes."""
    if bench.info.get("overwrites"):
        return []
    found = []
    for dtype in bench.dtypes:
        for rate in _rates(bench):
            for record in (False, True) if bench.info["gradients"] else (False,):
                where = f"{dtype} rate={rate:g}" + (" grad" if record else "")
                x = probe(bench.contract.pattern, dtype, 33, 65, 3)  # a shape that form.shape-dtype asks, too
                try:
                    layer = Layer(bench, rate, dtype)
                    answer = layer.call(x, record=record, then=bench.info.get("inference", True))
                except Refused:
                    continue  # judged by rate.one and by the check's own question
                wrong = ["the call overwrites its input"] if answer.input_changed else []
                if answer.earlier_changed:
                    wrong.append("a later call, in training or in inference, changes the output of an earlier one")
                good = "input and earlier outputs stay unchanged when the mode changes"
                found.append(exact(check, f"{where} then inference", "; ".join(wrong), good))
    return found


def equal(one: list[Any], other: list[Any]) -> bool:
    """Whether two lists of outputs hold the same values in the same shapes."""
    return len(one) == len(other) and all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def outputs(layer: Layer, x: Any, calls: int) -> list[Any]:
    """The outputs of some training calls on one input."""
    return [layer.call(x).values() for _ in range(calls)]


def restarts(
    layer: Layer, seed: int, calls: Callable[[Layer], list[Any]], others: Callable[[], Any] = lambda: None
) -> tuple[list[Any], list[Any]]:
    """The outputs of ``calls`` after two starts under one seed, with ``others`` between them.

    The first start is that of the fresh layer. Where the second one differs, its constructor may have drawn from the source that
    was seeded (weights do): then the second is held against another layer, reseeded before its first call. What calls leave
    behind in a layer is not in that one.
    """
    first = calls(layer)
    others()
    layer.reseed(seed)
    again = calls(layer)
    if equal(first, again):
        return first, again
    unused = Layer(layer.bench, layer.rate, layer.dtype, seed, layer.way)
    unused.reseed(seed)
    return calls(unused), again


def reset_in_other_dtypes(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Reseeding in the dtypes that the first question leaves out."""
    found = []
    rate = ladder(bench, (0.5,))[0]
    for way in bench.contract.seeds:
        for dtype in bench.dtypes[1:]:
            where = f"{dtype} 5,7,3 way={way}"
            x = probe(bench.contract.pattern, dtype, 5, 7, 3)
            try:
                layer = Layer(bench, rate, dtype, bench.seed, way)
                first, second = restarts(layer, bench.seed, partial(outputs, x=x, calls=3))
            except Refused as refused:
                found.append(skipped(check, where, f"the layer raises {refused}"))
                continue
            start = "reseeding with the same seed draws"
            problem = "" if equal(first, second) else f"{start} other masks, expected the same"
            found.append(exact(check, where, problem, f"{start} the same masks", coins=210))
    return found


def gradient_of_inference(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """In inference nothing is dropped: the gradient is the cotangent bit for bit, after a training call, too."""
    contract = bench.contract
    identity = contract.inference == "identity" and bench.info.get("inference", True)
    if not bench.info["gradients"] or not identity:
        return []
    found = []
    rate = ladder(bench, (0.3,))[0]
    for dtype in bench.dtypes:
        where = f"{dtype} rate={rate:g} grad inference"
        x = probe(contract.pattern, dtype, 33, 65, 3, seed=41)
        cotangent = probe(contract.pattern, dtype, 33, 65, 3, seed=43)
        try:
            layer = Layer(bench, rate, dtype)
            layer.gradient(x, cotangent)
            y, gradient, _ = layer.gradient(x, cotangent, training=False)
        except Refused as refused:
            if refused.where != "unsupported":
                text = f"the backward pass in inference raises {refused}"
                found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
            continue
        if y.shape != x.shape or not np.array_equal(y, x):
            found.append(skipped(check, where, "inference changes its input (see mode.inference)"))
            continue
        gradient = np.zeros_like(x) if gradient is None else gradient
        wrong = int(np.count_nonzero(gradient != cotangent)) if gradient.shape == x.shape else x.size
        zero = float(np.mean(gradient == 0))
        good, problem = "in inference the gradient equals the incoming gradient", ""
        if wrong:
            problem = f"in inference, {wrong} of {x.size} gradients differ from the incoming gradient; "
            problem += f"{percent(zero)} are 0"
        found.append(exact(check, where, problem, good, tallies={"wrong": wrong, "positions": int(x.size)}))
    return found
