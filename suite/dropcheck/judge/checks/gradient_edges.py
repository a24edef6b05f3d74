"""The gradient at rates 0 and 1."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import (
    Layer,
    Values,
    coins_of,
    dropped,
    enough,
    probe,
)
from dropcheck.judge.checks.gradient_passes import SIZES, no_gradients
from dropcheck.judge.checks.visible import (
    follows,
    nonfinite_words,
    right_values,
)
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused


def _edges(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := no_gradients(check, bench)) is not None:
        return early
    if bench.contract.rates is not None:
        return [skipped(check, "rates 0 and 1", "the layer has a fixed rate")]
    found = []
    pattern = bench.contract.pattern
    for dtype in bench.dtypes:
        for rate in (0.0, 1.0):
            where = f"{dtype} rate={rate:g} grad"
            x = probe(pattern, dtype, *enough(pattern, *SIZES), seed=41)
            cotangent = probe(pattern, dtype, *enough(pattern, *SIZES), seed=43)
            try:
                layer = Layer(bench, rate, dtype)
                layer.call(x, record=True)  # what refuses the forward pass already is judged by rate.zero and rate.one
            except Refused as refused:
                verdict = "fail" if limits.strict and refused.where != "unsupported" else "skipped"
                found.append(
                    finding(
                        check,
                        where,
                        verdict,  # type: ignore[arg-type]
                        f"the layer rejects rate {rate:g}: {refused}",
                        level="trait" if verdict == "fail" else None,  # without --strict, a refusal is right
                    )
                )
                continue
            try:
                y, gradient, _ = layer.gradient(x, cotangent)
            except Refused as refused:
                verdict = "skipped" if refused.where == "unsupported" else "fail"
                text = f"at rate {rate:g} the forward pass works, but the backward pass raises {refused}"
                found.append(finding(check, where, verdict, text))  # type: ignore[arg-type]
                continue
            if gradient is None:
                gradient = np.zeros_like(x)
            factor = bench.contract.scale_at(rate) if rate == 0 else 0.0
            wanted = cotangent * factor
            if gradient.shape == wanted.shape and np.array_equal(gradient, wanted):
                found.append(
                    finding(
                        check,
                        where,
                        "pass",
                        f"the gradient at rate {rate:g} is right",
                        coins=coins_of(pattern, x.shape),
                    )
                )
                continue
            text = _wrong_edge(rate, gradient, wanted)
            if not _edge_holds(bench, x, y, rate, dtype):
                # the derivative of a wrong forward pass is no second fault
                owner = "rate.zero" if rate == 0 else "rate.one"
                found.append(skipped(check, where, follows(owner, f"the forward pass is wrong, too; {text}")))
                continue
            wrong = int(np.count_nonzero(gradient != wanted)) if gradient.shape == wanted.shape else gradient.size
            found.append(
                finding(
                    check,
                    where,
                    "fail",
                    text,
                    log10_evidence=-math.inf,
                    tallies={"wrong": wrong, "nonfinite": int(np.count_nonzero(~np.isfinite(gradient)))},
                    coins=coins_of(pattern, x.shape),
                )
            )
    return found


def _wrong_edge(rate: float, gradient: Values, wanted: Values) -> str:
    """What is wrong with the gradient at a rate of 0 or 1, in words."""
    if gradient.shape != wanted.shape:
        return f"at rate {rate:g} the gradient has shape {gradient.shape}, expected {wanted.shape}"
    right = "0" if rate == 1 else "the incoming gradient"
    text = f"at rate {rate:g}, {int(np.count_nonzero(gradient != wanted))} of {gradient.size} gradients are wrong"
    words = nonfinite_words(gradient)
    return text + (f" ({words})" if words else "") + f", expected {right}"


def _edge_holds(bench: Bench, x: Values, y: Values, rate: float, dtype: str) -> bool:
    """Whether the forward pass is right at a rate of 0 or 1, so that its gradient can be judged."""
    if y.shape != x.shape:
        return False
    if rate == 0:
        return bool(right_values(bench, x, y, rate, dtype).all())
    return bool(dropped(y, bench, rate, dtype).all())


CHECKS = (
    Check(
        name="gradient.edges",
        how="At rate 0 the gradient must equal the incoming gradient bit for bit, at rate 1 it must be 0. One NaN is a failure, "
        "and so is a backward pass that raises where the forward pass works. The check is skipped where the forward pass is wrong.",
        remedy="At rate 1, 1 / (1 - rate) is infinite and infinity * 0 is NaN, in the gradient, too. Return `x * 0` or "
        "torch.zeros_like(x) at rate 1 before you divide. A torch.where around a NaN does not help: its gradient is NaN.",
        observe=_edges,
    ),
)
