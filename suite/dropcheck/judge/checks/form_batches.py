"""The form of batches: sizes that change from call to call, and empty inputs."""

from __future__ import annotations

import math
from typing import Any

from dropcheck.judge.checks.base import Bench, Check, Limits, exact, finding, in_turn
from dropcheck.judge.checks.exact_questions import (
    OUTPUT_SHAPE,
    Answer,
    Layer,
    by_coin,
    dropped,
    familiar,
    probe,
    telling,
)
from dropcheck.judge.checks.refusals import crashed
from dropcheck.judge.checks.right_outputs import Wrong, first_rate, wrong_in
from dropcheck.judge.checks.sizes import changing, no_channels
from dropcheck.judge.checks.visible import follows
from dropcheck.results.audit import Finding, Verdict
from dropcheck.worker.client import Refused


def _batch_change(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    found = []
    rate = first_rate(bench)
    for sizes in ((4, 64, 1, 513, 64, 2), (257, 3, 1025)):
        where = f"{bench.first} rate={rate:g} batches={','.join(map(str, sizes))}"
        verdict, text = _batches(bench, rate, sizes)
        found.append(
            finding(
                check,
                where,
                verdict,
                text,
                log10_evidence=-math.inf if verdict == "fail" else 0.0,
                coins=sum(sizes) * familiar(bench, (1, 33, 3), (1, 64, 3))[1],
            )
        )
    return found


def _batches(bench: Bench, rate: float, sizes: tuple[int, ...]) -> tuple[Verdict, str]:
    """The verdict on one layer that meets batches of these sizes; a fresh layer that meets one batch alone is the control."""
    layer, follower = Layer(bench, rate), None
    for number, rows in enumerate(sizes):
        # other values for every batch: a stale row of an earlier one must not look right
        x = telling(bench, rate, bench.first, *familiar(bench, (rows, 33, 3), (rows, 64, 3)), seed=5 + number)
        try:
            problem = _batch(bench, rate, x, layer.call(x))
        except Refused as refused:
            if _refuses(bench, rate, x):
                return "fail", f"a batch of {rows} raises {refused}, also in a new layer"
            return "fail", f"a batch of {rows} after one of {sizes[0]} raises {refused}"
        if problem is None:
            continue
        try:
            alone = _batch(bench, rate, x, Layer(bench, rate).call(x))
        except Refused:
            alone = None
        if alone is None or alone.check != problem.check:
            return (
                "fail",
                f"in a batch of {rows} after one of {sizes[0]}, {problem.words}; in a new layer this is right",
            )
        if follower is None:
            follower = follows(problem.check, f"in a batch of {rows}, alone and after others, {problem.words}")
    if follower is not None:
        return "skipped", follower
    return "pass", "the layer accepts batches of changing size"


def _batch(bench: Bench, rate: float, x: Any, answer: Answer) -> Wrong | None:
    """What is wrong with the output for one batch, and whose fault such a thing is."""
    if answer.shape != x.shape:
        return Wrong("form.shape-dtype", f"an input of shape {x.shape} {OUTPUT_SHAPE} {answer.shape}")
    if answer.dtype != bench.first:
        return None
    values, pattern = answer.values(), bench.contract.pattern
    wrong = wrong_in(bench, pattern, x, values, rate, bench.first)
    if wrong is None:
        gone = by_coin(pattern, dropped(values, bench, rate, bench.first)).all(axis=1)
        tail = gone[len(gone) // 2 :]
        # by chance with probability below 10^-12, whatever the rate; at rate 1 it is what should be
        if len(tail) >= 2000 and tail.all() and rate ** len(tail) < 1e-12:
            wrong = Wrong("rate.marginal", "the second half is dropped as a whole")
    return wrong


def _refuses(bench: Bench, rate: float, x: Any) -> bool:
    try:
        Layer(bench, rate).call(x)
    except Refused:
        return True
    return False


def _empty(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    found = []
    rate = first_rate(bench)
    for name, sizes in (("no rows", (0, 8, 3)), ("no elements", (4, 8, 0))):
        if not bench.contract.pattern.shared and sizes[2] == 0:
            continue
        if not bench.contract.pattern.row_axes and sizes[0] == 0:
            continue
        for training in (True, False):
            where = f"{bench.first} {name}" + ("" if training else " inference")
            x = probe(bench.contract.pattern, bench.first, *sizes)
            try:
                answer = Layer(bench, rate).call(x, training=training)
            except Refused as refused:
                if crashed(refused):
                    text = f"the layer crashes on an empty input ({name}): {refused}"
                    found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
                    continue
                found.append(finding(check, where, "pass", f"the layer rejects an empty input ({name}): {refused}"))
                continue
            problem = ""
            if (answer.shape, answer.dtype) != (x.shape, bench.first):
                problem = f"gives {answer.dtype} {answer.shape}, expected {bench.first} {x.shape}"
                problem = f"an empty input ({name}) {problem}"
            found.append(exact(check, where, problem, f"an empty input ({name}) works"))
    return found


CHECKS = (
    Check(
        name="form.batch-change",
        how="One layer is called with batches that grow and shrink. The mask and the values of each output must be right. A fault "
        "that a new layer shows on the same batch alone belongs to another check. Then the number of channels and the length "
        "change. A layer made for one number of channels may reject another.",
        remedy="Create the mask from the shape of the current input: torch.rand(x.shape[0], x.shape[1], 1). Do not reuse a "
        "buffer whose size comes from the first call.",
        observe=in_turn(_batch_change, changing),
    ),
    Check(
        name="form.empty",
        how="Inputs without samples, channels or elements must give an output of the same shape, or a clear error. A crash, "
        "such as an index out of range, is a failure. Every dtype is tested.",
        remedy="Return the input early when it is empty: `if x.numel() == 0: return x` (x.size in NumPy and JAX). Do not take "
        "x[0], x.max() or x.mean() of an empty input.",
        observe=in_turn(_empty, no_channels),
    ),
)
