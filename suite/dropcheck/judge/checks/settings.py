"""Calls under other global settings, and from two threads at the same time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, telling
from dropcheck.judge.checks.looks import (
    IN_COMMON,
    Look,
    faults,
    life,
    look,
    only_eager,
    refused,
    repeats,
    shared_words,
    standing,
    times,
    word_sizes,
)
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused

_LOUD = ("deterministic algorithms",)  # settings under which an operation may refuse by the framework's own words
_THREADS, _CALLS = 2, 2


def _settings(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """One layer: plain calls, calls under each setting, plain calls again."""
    if (early := only_eager(check, bench, "settings")) is not None:
        return early
    rate, dtype = standing(bench, 0.3), bench.first
    try:
        x = telling(bench, rate, dtype, 33, 65, 3)
        layer = Layer(bench, rate)
        control = _seen(bench, layer, x)
        names = life(bench, "settings")["names"]
    except Refused as error:
        return [refused(check, f"{dtype} rate={rate:g} settings", error, "the layer raises")]
    found = []
    for name in names:
        where = f"{dtype} rate={rate:g} {name}"
        try:
            got = life(bench, "under", id=layer.id, x=x, dtype=dtype, setting=name, times=times(bench, x))
        except Refused as error:
            if name in _LOUD and error.where != "unsupported":
                found.append(skipped(check, where, f"the framework raises {error}"))
            else:
                found.append(refused(check, where, error, f"under {name} the layer raises"))
            continue
        found.append(_compared(check, bench, where, name, got, x, layer, control))
    return found


def _seen(bench: Bench, layer: Layer, x: Any) -> Look:
    answer = layer.call(x, times=times(bench, x))
    return look(bench, answer.raw, answer.dtype, x, layer.rate, layer.dtype)


def _compared(
    check: Check, bench: Bench, where: str, name: str, got: dict[str, Any], x: Any, layer: Layer, control: Look
) -> Finding:
    scale = bench.contract.scale_at(layer.rate)
    seen = look(bench, got["ys"], got["dtype"], x, layer.rate, layer.dtype)
    wrong = faults(seen, control, layer.rate, scale)
    wrong += [
        f"the call changes the setting {what} to {new}, expected {old}"
        for what, (old, new) in sorted(got["left"].items())
    ]
    try:
        after = _seen(bench, layer, x)
        wrong += [f"in a plain call afterwards, {words}" for words in faults(after, control, layer.rate, scale)]
    except Refused as error:
        wrong.append(f"a plain call afterwards raises {error}")
    numbers: dict[str, Any] = dict(
        estimate=seen.share,
        expected=layer.rate,
        unit="share of drops",
        coins=seen.coins,
        tallies={**seen.tallies(), "within": repeats(bench, control, x)},
    )
    if wrong:
        return finding(check, where, "fail", f"under {name}, {'; '.join(wrong)}", log10_evidence=-math.inf, **numbers)
    return finding(check, where, "pass", f"under {name} the layer works as in a plain call", **numbers)


def _threads(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Two threads, each with an input of its own, call one layer at once."""
    if (early := only_eager(check, bench, "two threads")) is not None:
        return early
    rate, dtype = standing(bench, 0.5), bench.first
    where = f"{dtype} rate={rate:g} two threads"
    try:
        xs = [telling(bench, rate, dtype, *word_sizes(bench, rate), seed=seed) for seed in (5, 6)]
        layer = Layer(bench, rate)
        # in turn first: what goes wrong here is no matter of threads
        controls = [_of_two(bench, layer.call(x, times=_CALLS), x, rate, dtype) for x in xs]
        answers = life(bench, "together", id=layer.id, xs=xs, dtype=dtype, times=_CALLS)["answers"]
    except Refused as error:
        return [refused(check, where, error, "two threads that call the layer at the same time raise")]
    wrong, looks, common = [], [], 0
    for number, (answer, x, control) in enumerate(zip(answers, xs, controls, strict=True)):
        if "raised" in answer:
            wrong.append(f"thread {number + 1} raises {answer['raised']}")
            continue
        seen = look(bench, answer["ys"], answer["dtype"], x, rate, dtype)
        looks.append(seen)
        wrong += [
            f"thread {number + 1}: {words}" for words in faults(seen, control, rate, bench.contract.scale_at(rate))
        ]
    if len(looks) == _THREADS and not wrong:
        common, every = shared_words(bench, looks[0], looks[1], xs[0])
        if common and not shared_words(bench, controls[0], controls[1], xs[0])[0]:
            wrong.append(f"both threads have {common} of {every} {IN_COMMON}, expected none")
    _trait(bench, rate, xs[0])
    coins = sum(seen.coins for seen in looks)
    if wrong:
        text = f"two threads call the layer at the same time: {'; '.join(wrong)}"
        within = repeats(bench, controls[0], xs[0]) if common else 0
        tallies = {"common": common, "within": within}
        return [finding(check, where, "fail", text, log10_evidence=-math.inf, coins=coins, tallies=tallies)]
    return [
        finding(
            check, where, "pass", "two threads at the same time get right outputs with different masks", coins=coins
        )
    ]


def _of_two(bench: Bench, answer: Any, x: Any, rate: float, dtype: str) -> Look:
    return look(bench, answer.raw, answer.dtype, x, rate, dtype)


def _trait(bench: Bench, rate: float, x: Any) -> None:
    """Whether one seed gives the same masks with one thread of the framework's own and with two: a trait."""
    if not bench.contract.seeds:
        return
    try:
        way, dtype = bench.contract.seeds[0], bench.first
        got = life(bench, "counted", rate=rate, dtype=dtype, seed=bench.seed, way=way, x=x)["answers"]
    except Refused:
        return
    same = all(np.array_equal(got[0]["y"], one["y"]) for one in got[1:])
    bench.traits["one seed, one thread and two"] = "the same masks" if same else "different masks"


CHECKS = (
    Check(
        name="mode.settings",
        role="layers in turn",
        how="One layer is called without settings, under each setting, and without settings again. The settings are: no_grad, "
        "enable_grad, inference_mode, default dtype and deterministic algorithms in PyTorch; floatx and dtype policy in Keras; "
        "disable_jit and x64 in JAX. Dtype, mask, share of drops and every kept value are compared. A share that differs by "
        ".2 in 4000 decisions has a probability below 10^-30. A call that changes a setting fails, too.",
        remedy="Let self.training alone decide whether the layer drops, not torch.is_grad_enabled(). Name the dtype of every "
        "tensor that you create: torch.rand(..., dtype=torch.float32). Restore every global setting that you change.",
        observe=_settings,
    ),
    Check(
        name="mode.threads",
        role="layers in turn",
        how="Two threads, each with its own input, call one layer. They take turns at every line of the layer's source, so that a "
        "race appears at once. Each output must fit its own input. The threads must have no mask rows in common (below 10^-9 by "
        "chance). Whether a seed gives the same masks with one and two threads of the framework is a trait. The check is "
        "skipped if a layer of the framework belongs to one thread.",
        remedy="Keep masks and buffers in local variables of forward, not on self. If the layer has its own counter or generator, "
        "protect it with a threading.Lock.",
        observe=_threads,
    ),
)
