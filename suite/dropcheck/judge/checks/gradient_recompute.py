"""A forward pass that runs again in the backward pass draws the same mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import (
    Layer,
    Values,
    enough,
    ladder,
    probe,
    telling,
)
from dropcheck.judge.checks.gradient import mask_result
from dropcheck.judge.checks.gradient_passes import (
    RATES,
    SIZES,
    UNTOUCHED,
    WORDS,
    Passed,
    input_overwritten,
    no_gradients,
)
from dropcheck.judge.checks.visible import (
    follows,
    seen,
)
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import percent
from dropcheck.worker.client import Refused, ask
from dropcheck.worker.server import rounding

_RECOMPUTED_CALLS = 3  # some layers go wrong with every second call only


def _recompute(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Several training calls under each way of checkpointing: coins seen in the output against zeros of the gradient."""
    if (early := no_gradients(check, bench)) is not None:
        return early
    if not {"global", "key"} & set(bench.contract.seeds):
        return [
            skipped(
                check,
                "checkpointing",
                "checkpointing restores only keys and the framework's global generator, and the contract declares neither",
            )
        ]
    found = []
    for dtype in bench.dtypes:
        for rate in ladder(bench, RATES[:2]):
            where = f"{dtype} rate={rate:g} recompute"
            try:
                found.extend(_recomputed(check, bench, where, dtype, rate))
            except Refused as refused:
                if refused.where != "unsupported":
                    raise
                found.append(skipped(check, where, str(refused)))
    return found


def _recomputed(check: Check, bench: Bench, where: str, dtype: str, rate: float) -> list[Finding]:
    pattern = bench.contract.pattern
    x = telling(
        bench, rate, dtype, *enough(pattern, *SIZES), seed=41
    )  # no element is 0, so the output shows every coin
    cotangent = probe(pattern, dtype, *enough(pattern, *SIZES), seed=43)
    layer = Layer(bench, rate, dtype, way="global" if "global" in bench.contract.seeds else "key")
    answers = _answers(bench, layer, x, dtype, cotangent)
    found = []
    for answer in answers:
        place = f"{where} {answer['way']} call {answer['call']}"
        if (reason := answer.get("unsupported")) is not None:
            found.append(skipped(check, f"{where} {answer['way']}", reason))
            continue
        if (error := answer.get("error")) is not None:
            words = (error["message"].strip().splitlines() or [""])[0][:WORDS]
            text = f"the recomputed forward pass raises {error['type']}" + (f": {words}" if words else "")
            if input_overwritten(bench, rate, dtype):
                found.append(skipped(check, place, follows(UNTOUCHED, text)))
                continue
            if (of_framework := _fails_too(bench, answer["way"], dtype, rate)) is not None:
                found.append(skipped(check, place, of_framework))
                continue
            found.append(finding(check, place, "fail", text, tallies={"raised": error["type"]}))
            continue
        y = rounding.to_float64(answer["y"], answer["dtype"])
        gradient = np.zeros_like(y)
        if answer["gradient"] is not None:
            gradient = rounding.to_float64(answer["gradient"], answer["gradient_dtype"])
        if gradient.shape != x.shape or y.shape != x.shape:
            found.append(
                finding(
                    check,
                    place,
                    "fail",
                    f"the output has shape {y.shape} and the gradient {gradient.shape}, expected {x.shape}",
                )
            )
            continue
        shown = seen(bench, x, y, rate, dtype)
        parts = Passed(x, y, cotangent, gradient, answer["gradient_dtype"] or dtype, shown)
        one = mask_result(check, place, parts, rate, dtype, bench)
        if one.verdict == "fail" and (of_framework := _fails_too(bench, answer["way"], dtype, rate)) is not None:
            one = skipped(check, place, of_framework)
        found.append(one)
    return found


def _answers(bench: Bench, layer: Layer, x: Values, dtype: str, cotangent: Values) -> list[dict[str, Any]]:
    got = ask(bench.session, "recompute", id=layer.id, x=x, dtype=dtype, cotangent=cotangent, times=_RECOMPUTED_CALLS)
    answers: list[dict[str, Any]] = got["answers"]
    return answers


def _fails_too(bench: Bench, way: str, dtype: str, rate: float) -> str | None:
    """The control: that the framework's own Dropout fails as well when it is recomputed this way; None where it does not.

    Asked once for each way, and only where the layer fails. A layer of the framework's own has no control: what it fails is
    its failure.
    """
    if way not in bench.controls:
        bench.controls.update({way: "", **_of_the_framework(bench, dtype, rate)})
    if not (words := bench.controls[way]):
        return None
    text = f"the framework's own Dropout fails in the same way: {words}"
    bench.traits.setdefault("recomputed forward passes", {})[way] = text
    return text


def _of_the_framework(bench: Bench, dtype: str, rate: float) -> dict[str, str]:
    """What the framework's own Dropout fails under each way of checkpointing, in words; empty where it keeps its coins."""
    pattern = bench.contract.pattern
    x, cotangent = (probe(pattern, dtype, 33, 65, 3, seed=s) for s in (41, 43))
    try:
        layer = Layer(bench, rate, dtype, way="global" if "global" in bench.contract.seeds else "key", control=True)
        answers = _answers(bench, layer, x, dtype, cotangent)
    except Refused:  # there is none, or it cannot be asked
        return {}
    failed: dict[str, str] = {}
    for answer in answers:
        words = ""
        if (error := answer.get("error")) is not None:
            words = f"recomputed by {answer['way']}, it raises {error['type']}"
        elif answer.get("unsupported") is None:
            gone = rounding.to_float64(answer["y"], answer["dtype"]) == 0
            gradient = answer["gradient"]
            nothing = np.zeros(gone.shape, bool) if gradient is None else gradient == 0
            if nothing.shape != gone.shape or not np.array_equal(nothing, gone):
                share = float(np.mean(nothing[~gone])) if nothing.shape == gone.shape else 1.0
                words = f"recomputed by {answer['way']}, its gradient is 0 at {percent(share)} of the kept positions"
        failed[answer["way"]] = failed.get(answer["way"]) or words
    return failed


CHECKS = (
    Check(
        name="gradient.recompute",
        forbidden=("leaking", "missing"),
        how="Training calls run under the framework's own checkpointing: torch.utils.checkpoint in both variants, "
        "jax.checkpoint, and others. The gradient must be 0 exactly where the first forward pass drops. Two independent "
        "masks agree by chance with a probability below 10^-270. If a layer fails, the framework's own Dropout is tested in "
        "the same way: what fails there, too, is no failure of the layer. The check needs seeds by the framework's global "
        "generator or by a key, which checkpointing restores.",
        remedy="Draw the mask from the framework's global generator (or from the key argument) in every forward pass. Do not "
        "keep a counter, a block of masks or a generator on the layer: the second forward pass would advance it.",
        observe=_recompute,
    ),
)
