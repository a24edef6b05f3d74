"""The form of outputs: shape, dtype, and inputs in another memory layout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, in_turn, skipped
from dropcheck.judge.checks.crossings import recorded_and_edges
from dropcheck.judge.checks.daily_faults import SHAPE
from dropcheck.judge.checks.daily_sizes import at_sizes
from dropcheck.judge.checks.exact_questions import (
    OUTPUT_SHAPE,
    Answer,
    Layer,
    dropped,
    probe,
    telling,
)
from dropcheck.judge.checks.refusals import crashed
from dropcheck.judge.checks.right_outputs import first_rate, wrong_in
from dropcheck.judge.checks.visible import follows, repeats
from dropcheck.results.audit import Finding, Verdict
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding


def _shape_dtype(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    found = [
        finding(
            check,
            f"{dtype} first call",
            "fail",
            f"the layer rejects {dtype} inputs: {words}. To skip {dtype}: --dtype {','.join(bench.dtypes)}",
            log10_evidence=-math.inf,
        )
        for dtype, words in bench.refused.items()
    ]
    rate = first_rate(bench)
    asked = [(rate, True, 33), (rate, False, 33), (rate, True, 1025)]
    # layers often return early at the edges of the rate; that a layer refuses one of them is judged elsewhere
    asked += [(edge, True, 33) for edge in (0.0, 1.0) if bench.contract.rates is None or edge in bench.contract.rates]
    for dtype in bench.dtypes:
        for at, training, rows in asked:
            where = (
                f"{dtype} rate={at:g}" + ("" if training else " inference") + ("" if rows == 33 else f" {rows} rows")
            )
            x = probe(bench.contract.pattern, dtype, rows, 65, 3)
            try:
                answer = Layer(bench, at, dtype).call(x, training=training)
            except Refused as refused:
                if refused.where == "unsupported":  # what the adapter cannot ask is no refusal of the layer
                    found.append(skipped(check, where, refused.message))
                elif at == rate:
                    found.append(finding(check, where, "fail", f"the layer raises {refused} on a {dtype} input"))
                continue
            wrong = []
            if answer.dtype != dtype:
                wrong.append(f"a {dtype} input gives a {answer.dtype} output")
            if answer.shape != x.shape:
                wrong.append(f"an input of shape {x.shape} {OUTPUT_SHAPE} {answer.shape}")
            found.append(exact(check, where, "; ".join(wrong), "the output has the shape and dtype of the input"))
    return found


def _strides(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    layouts = [name for name in bench.info["layouts"] if name != "contiguous"]
    if not layouts:
        return [skipped(check, "strides", f"dropcheck has no strided {bench.info['framework']} arrays")]
    found = []
    rate = first_rate(bench)
    for dtype in bench.dtypes:
        for layout in layouts:
            where = f"{dtype} rate={rate:g} {layout}"
            try:
                x = telling(bench, rate, dtype, 33, 65, 6)
                layer = Layer(bench, rate, dtype)
                answer = layer.call(x, layout=layout, times=2)
                quiet = layer.call(x, layout=layout, training=False)
            except Refused as refused:
                if crashed(refused):
                    text = f"the layer crashes on a {layout} input: {refused}"
                    found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
                    continue
                verdict: Verdict = "skipped" if refused.where == "unsupported" else "pass"
                found.append(finding(check, where, verdict, f"the layer rejects {layout} inputs: {refused}"))
                continue
            if answer.shape != x.shape or answer.dtype != dtype:
                found.append(
                    finding(
                        check,
                        where,
                        "fail",
                        f"the output is {answer.dtype} {answer.shape}, expected {dtype} {x.shape}",
                    )
                )
                continue
            verdict, text = _laid_out(bench, x, answer, quiet, layout, rate, dtype)
            found.append(
                finding(
                    check,
                    where,
                    verdict,
                    text,
                    log10_evidence=-math.inf if verdict == "fail" else 0.0,
                    coins=2 * 33 * 65,
                )
            )
    return found


def _laid_out(
    bench: Bench, x: Any, answer: Answer, quiet: Answer, layout: str, rate: float, dtype: str
) -> tuple[Verdict, str]:
    """The verdict on training and inference calls with one layout; what a contiguous input shows too is not the layout's.

    The control, the same calls by a layer with the same seed on a contiguous input, is asked only where something is wrong.
    """
    pattern = bench.contract.pattern
    wrong = next((w for i in range(2) if (w := wrong_in(bench, pattern, x, answer.values(i), rate, dtype))), None)
    still = np.array_equal(quiet.values(), x)
    if wrong is None and (still or bench.contract.inference == "active"):
        return "pass", f"{layout} inputs work"
    control = Layer(bench, rate, dtype)
    try:
        plain, plain_quiet = control.call(x, times=2), control.call(x, training=False, times=2)
    except Refused as refused:
        return "skipped", f"the layer rejects a contiguous input: {refused}"
    if wrong is not None:
        torn = _differently(bench, x, answer, plain, rate, dtype)
        if torn is not None:
            return "fail", f"with a {layout} input, {torn}"
        known = {w.check for i in range(2) if (w := wrong_in(bench, pattern, x, plain.values(i), rate, dtype))}
        if wrong.check not in known:
            return "fail", f"with a {layout} input, {wrong.words}; with a contiguous one this is right"
        return "skipped", follows(wrong.check, f"with contiguous and {layout} inputs, {wrong.words}")
    if np.array_equal(quiet.values(), plain_quiet.values()):
        return "pass", f"{layout} inputs work: inference treats them like contiguous ones"
    if np.array_equal(plain_quiet.values(0), plain_quiet.values(1)):
        return "fail", f"with a {layout} input, inference returns other values than with a contiguous one"
    return "skipped", follows("mode.inference", f"inference changes contiguous and {layout} inputs")


def _differently(bench: Bench, x: Any, answer: Answer, plain: Answer, rate: float, dtype: str) -> str | None:
    """Whether the same coins fell as for a contiguous input and the values are others all the same; in words."""
    for i in range(2):
        one, two = answer.values(i), plain.values(i)
        gone = dropped(one, bench, rate, dtype)
        if not repeats(gone, dropped(two, bench, rate, dtype), np.ones(x.shape, bool)):
            continue
        room = 4 * rounding.unit_roundoff(dtype) * np.abs(two)  # another order of roundings of one product
        with np.errstate(invalid="ignore"):
            off = int(np.count_nonzero(~(np.abs(one - two) <= room) & ~(np.isnan(one) & np.isnan(two))))
        if off:
            return f"{off} of {one.size} values differ from those with a contiguous input, under the same mask"
    return None


CHECKS = (
    Check(
        name="form.shape-dtype",
        how="The output must have the shape and dtype of the input. This is tested in every dtype, in training and in inference, "
        "at ordinary rates and at rates 0 and 1, with and without gradient recording. All calls of counted cases are tested, "
        "too.",
        remedy="Cast the mask and the factor to the dtype of the input: `mask.to(x.dtype)`, `keras.ops.cast(mask, x.dtype)`, "
        "`mask.astype(x.dtype)`. A float32 mask or a NumPy scalar promotes float16 inputs. Draw the mask from x.shape, not "
        "from a fixed shape that broadcasts the output.",
        observe=in_turn(_shape_dtype, recorded_and_edges, at_sizes(SHAPE)),
    ),
    Check(
        name="form.strides",
        how="Inputs with a stride of two and inputs in another memory order must be dropped and scaled like contiguous ones, or "
        "rejected. If something is wrong, a layer with the same seed is called with the same values in contiguous memory. A "
        "fault that appears there, too, belongs to another check.",
        remedy="Call x.contiguous() before you use x.view, x.data_ptr() or x.storage(), or index by strides. "
        "`torch.rand_like(x)` keeps the strides of x; a mask made from them may fit no other layout.",
        observe=_strides,
    ),
)
