"""Forward and backward passes for the checks of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, finding, skipped
from dropcheck.judge.checks.exact_questions import (
    OUTPUT_SHAPE,
    Layer,
    Values,
    enough,
    ladder,
    probe,
    telling,
)
from dropcheck.judge.checks.visible import (
    UNSEEN,
    WHOLE,
    Seen,
    columns,
    follows,
    repeats,
    seen,
)
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused

SIZES = (33, 65, 3)  # 2145 coins a call, whatever the pattern

RATES = (0.3, 0.15, 0.9)

WORDS = 300  # of an exception, in a message

UNTOUCHED = "form.input-untouched"


def no_gradients(check: Check, bench: Bench) -> list[Finding] | None:
    if not bench.info["gradients"]:
        return [skipped(check, "gradient", f"dropcheck computes no gradients in {bench.info['framework']}")]
    return None


@dataclass
class Passed:
    """One forward and backward pass, arrays in the input's shape. ``unseen``: why elements that are 0 show no coin."""

    x: Values
    y: Values
    cotangent: Values
    gradient: Values
    dtype: str
    seen: Seen
    unseen: str = ""


def second_pass(bench: Bench, rate: float, dtype: str, x: Values, cotangent: Values) -> tuple[Values, Values, str]:
    """Output, gradient and its dtype of a fresh layer's second pass: some defects begin with it."""
    layer = Layer(bench, rate, dtype)
    layer.gradient(x, cotangent)
    y, gradient, kind_of = layer.gradient(x, cotangent)
    if gradient is None:
        # a gradient that does not exist counts as 0
        return y, np.zeros_like(y), dtype
    return y, gradient, kind_of or dtype


def _inputs(bench: Bench, rate: float, dtype: str, kind: str) -> Values:
    """Inputs with zeros as after a ReLU, negative ones, or plain ones."""
    x = telling(bench, rate, dtype, *enough(bench.contract.pattern, *SIZES), seed=41).copy()
    flat = x.ravel()
    if kind == "zeros":
        # half of the elements are 0, but of every coin the first is not; of coins with one element, any may be
        rng = np.random.default_rng(7)
        places = columns(bench.contract.pattern, x)
        some = places[:, 1:] if places.shape[1] > 1 else places
        flat[some[rng.random(some.shape) < 0.6]] = 0.0
        flat[flat < 0] *= -1
    elif kind == "negative":
        flat[:] = -np.abs(flat)
    return x


def _case(bench: Bench, dtype: str, rate: float, kind: str, plain: Seen | None) -> Passed:
    """One forward and backward pass, asked once for all checks; ``plain``: what the same calls without zeros showed."""
    key = f"gradient {dtype} {rate!r} {kind}"
    if key not in bench.answers:
        bench.answers[key] = _passed(bench, dtype, rate, kind, plain)
    found: Passed = bench.answers[key]
    return found


def _passed(bench: Bench, dtype: str, rate: float, kind: str, plain: Seen | None) -> Passed:
    x = _inputs(bench, rate, dtype, kind)
    cotangent = probe(bench.contract.pattern, dtype, *enough(bench.contract.pattern, *SIZES), seed=43)
    y, gradient, kind_of = second_pass(bench, rate, dtype, x, cotangent)
    if y.shape != x.shape:
        nothing = np.zeros(x.shape, bool)
        return Passed(x, y, cotangent, gradient, kind_of, Seen(nothing, nothing))
    shown, unseen = seen(bench, x, y, rate, dtype), ""
    hidden = ~shown.known & (x == 0)
    if hidden.any():
        if plain is not None and bench.contract.seeds and repeats(plain.gone, shown.gone, shown.known & plain.known):
            told = hidden & plain.known
            shown = Seen(np.where(told, plain.gone, shown.gone), shown.known | told)
        else:
            unseen = follows(WHOLE) if bench.contract.pattern.shared else UNSEEN
    return Passed(x, y, cotangent, gradient, kind_of, shown, unseen)


def each_case(check: Check, bench: Bench, decide: Any) -> list[Finding]:
    found = []
    for dtype in bench.dtypes:
        for rate in ladder(bench, RATES):
            plain = None
            for kind in ("plain", "zeros", "negative"):
                where = f"{dtype} rate={rate:g} grad {kind}"
                try:
                    got = _case(bench, dtype, rate, kind, plain)
                except Refused as refused:
                    if refused.where == "unsupported":
                        found.append(skipped(check, where, str(refused)))
                    elif input_overwritten(bench, rate, dtype):
                        found.append(skipped(check, where, follows(UNTOUCHED, f"the backward pass raises {refused}")))
                    else:
                        found.append(finding(check, where, "fail", f"the backward pass raises {refused}"))
                    continue
                if got.y.shape != got.x.shape:
                    text = f"an input of shape {got.x.shape} {OUTPUT_SHAPE} {got.y.shape}"
                    found.append(skipped(check, where, follows("form.shape-dtype", text)))
                    continue
                if got.gradient.shape != got.x.shape:
                    found.append(
                        finding(
                            check, where, "fail", f"the gradient has shape {got.gradient.shape}, expected {got.x.shape}"
                        )
                    )
                    continue
                if kind == "plain":
                    plain = got.seen
                found.append(decide(check, where, got, rate, dtype, bench))
    return found


def input_overwritten(bench: Bench, rate: float, dtype: str) -> bool:
    """The control where a backward pass raises: whether a training call overwrites its input, which frameworks refuse then."""
    try:
        return Layer(bench, rate, dtype).call(probe(bench.contract.pattern, dtype, 33, 65, 3, seed=41)).input_changed
    except Refused:
        return False
