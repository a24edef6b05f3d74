"""The mode family: inference is what the contract says and spends no randomness, and training works again after it."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.judge.checks import switching_rounds
from dropcheck.judge.checks.base import Bench, Check, Limits, finding, in_turn, skipped
from dropcheck.judge.checks.exact_questions import Layer, enough, probe
from dropcheck.judge.checks.switching import rate_of, rounds
from dropcheck.judge.checks.switching_rounds import Round
from dropcheck.judge.checks.values import of_all_values
from dropcheck.judge.checks.visible import follows
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

_CALLER = "the function takes no `training` argument, so its caller decides about inference"


def _inference(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if not bench.info.get("inference", True):
        return [skipped(check, "inference", _CALLER)]
    found = []
    repeated = _repeated(bench)
    for where, some in _by_place(rounds(bench)).items():
        bad = [(one, step) for one in some for step in one.wrong_inference]
        if any(one.refused for one in some):
            found.append(skipped(check, where, next(one.refused for one in some if one.refused)))
        elif bad:
            found.append(_failed(check, where, some, bad))
        elif where in repeated:
            found.append(finding(check, where, "fail", repeated[where], log10_evidence=-math.inf))
        else:
            calls = sum(len(one.inference) for one in some)
            text = switching_rounds.right(bench)
            text += (
                f" ({calls} calls, {len(_shapes(some))} shapes, before and after training calls)" if calls > 1 else ""
            )
            found.append(finding(check, where, "pass", text))
    if bench.contract.inference == "active":
        return [*found, skipped(check, "spends no randomness", "the contract declares that inference drops, too")]
    return found + _spends_nothing(check, bench, any(f.verdict == "fail" for f in found))


def _by_place(every: list[Round]) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {}
    for one in every:
        found.setdefault(one.where, []).append(one)
    return found


def _shapes(some: list[Round]) -> set[tuple[int, ...]]:
    return {step[0] for one in some for step in one.steps}


def _failed(check: Check, where: str, some: list[Round], bad: list[tuple[Round, int]]) -> Finding:
    """The plainest of the wrong calls, and how many there are."""
    # what most of its elements tell; a call before any training call first, as nothing else can have caused it
    one, step = max(bad, key=lambda b: (b[0].share(b[1]), not b[0].trained(b[1])))
    calls = sum(len(r.inference) for r in some)
    text = one.words(step)
    if len(_shapes(some)) > 1 or calls > 1:
        text += (
            f"; {len(bad)} of {calls} inference calls are wrong, the first on an input of shape "
            f"{bad[0][0].steps[bad[0][1]][0]}"
        )
    answer = one.answers[step]
    numbers = {k: answer[k] for k in ("size", "wrong", "zero", "nonfinite", "factor") if answer.get(k) is not None}
    share = answer["zero"] / answer["size"] if answer.get("zero") else None
    more = {"estimate": share, "expected": 0.0, "unit": "share of elements dropped in inference"} if share else {}
    return finding(check, where, "fail", text, log10_evidence=-math.inf, tallies=numbers, **more)


def _repeated(bench: Bench) -> dict[str, str]:
    """Three inference calls on one input, by place: what is wrong with them; whether they return the input is a trait."""
    found = {}
    for dtype in bench.dtypes:
        for record in (False, True) if bench.info["gradients"] else (False,):
            try:
                x = probe(bench.contract.pattern, dtype, *enough(bench.contract.pattern, 9, 13, 2))
                answer = Layer(bench, rate_of(bench), dtype).call(x, training=False, record=record, times=3)
            except Refused:
                continue
            bench.traits.setdefault("inference returns the input itself", {})[dtype] = answer.same_object
            if bench.contract.inference != "identity" or answer.dtype != dtype or answer.shape != x.shape:
                continue
            right = rounding.to_dtype(x, dtype)
            wrong = [number for number, raw in enumerate(answer.raw, 1) if not rounding.same_bits(raw, right, dtype)]
            if wrong:
                where = f"{dtype} rate={rate_of(bench):g}" + (" grad" if record else "")
                found[where] = (
                    f"call {wrong[0]} of three inference calls on one input returns other values than its input"
                )
    return found


def _spends_nothing(check: Check, bench: Bench, failed: bool) -> list[Finding]:
    """Inference calls between training calls must not change the coins that follow."""
    where = "spends no randomness"
    if not bench.contract.seeds:
        return [skipped(check, where, "the check needs a contract with reproducible seeds")]
    if failed:
        return [skipped(check, where, "inference is wrong already: a layer that drops there also uses random numbers")]
    rate = rate_of(bench)
    pattern = bench.contract.pattern
    x = probe(pattern, bench.first, *enough(pattern, 33, 65, 3))
    try:
        plain, mixed = Layer(bench, rate), None
        first = [plain.call(x).values() for _ in range(3)]
        mixed = Layer(bench, rate)
        second = []
        for _ in range(3):
            second.append(mixed.call(x).values())
            mixed.call(x, training=False)
        repeat = Layer(bench, rate)
        again = [repeat.call(x).values() for _ in range(3)]
    except Refused as refused:
        return [skipped(check, where, f"the layer raises {refused}")]
    if not all(np.array_equal(a, b) for a, b in zip(first, again, strict=True)):
        return [skipped(check, where, "the same seed draws other masks (see seed.reproducible)")]
    if all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
        return [finding(check, where, "pass", "inference calls between training calls do not change the masks")]
    text = "inference returns its input, but uses random numbers: the masks of the training calls after it change"
    return [finding(check, where, "fail", text, log10_evidence=-math.inf)]


def _frozen_by_switch(some: list[Round], every: list[Round]) -> tuple[Round, tuple[int, int]] | None:
    """A round with another way of switching in which a mask comes again, where none does in the usual way."""
    usual = [one for one in every if one.masks and not any(way for *_, way in one.steps)]
    plain = [one for one in usual if one.dtype == some[0].dtype and sum("mask" in a for a in one.answers) > 2]
    if not plain or any(one.repeats for one in plain):
        return None
    return next(((one, one.repeats[0]) for one in some if one.repeats), None)


def _toggle(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if not bench.info.get("inference", True):
        return [skipped(check, "inference", "the function takes no `training` argument, so it cannot be switched")]
    every = rounds(bench)
    alone = {(r.dtype, r.layout, r.steps[0][0]) for r in every if r.drops_alone}
    found = []
    for where, some in _by_place(every).items():
        if any(one.refused for one in some):
            found.append(skipped(check, where, next(one.refused for one in some if one.refused)))
            continue
        asked = [
            (one, step)
            for one in some
            for step in one.training_after_inference
            if (one.dtype, one.layout, one.steps[step][0]) in alone
        ]
        if not asked and not any(one.keeps_alone for one in some) and switching_rounds.sure_together(some):
            # few coins a call: they cannot all have kept by chance
            asked = [(one, step) for one in some for step in one.after_inference]
            if any(one.answers[step]["gone"] for one, step in asked):
                asked = [(one, step) for one, step in asked if one.answers[step]["gone"]]
        failed = next((one for one in some if one.raised and one.raised_in_training), None)
        raised = failed.raised if failed is not None else ""
        stuck = [(one, step) for one, step in asked if one.answers[step]["gone"] == 0]
        if failed is not None and (overwrites := switching_rounds.refused_alone(failed)) is not None:
            text = f"a single training call with gradient recording raises {raised}"
            text = follows("form.input-untouched", text) if overwrites else f"{text}, without a switch"
            found.append(skipped(check, where, text))
        elif raised:
            text = f"a switch between training and inference raises {raised}"
            found.append(finding(check, where, "fail", text))
        elif not asked:
            if any(one.training_after_inference for one in some):
                found.append(skipped(check, where, "nothing drops before inference either (see rate.marginal)"))
        elif stuck:
            one, step = stuck[0]
            text = f"after inference, {len(stuck)} of {len(asked)} training calls drop nothing, expected {one.rate:.0%} of the "
            text += f"elements; the first call has an input of shape {one.steps[step][0]}{one.how(step)}"
            numbers = {"stuck": len(stuck), "calls": len(asked)}
            more = {"estimate": 0.0, "expected": one.rate, "unit": "share of elements dropped", "tallies": numbers}
            found.append(finding(check, where, "fail", text, log10_evidence=-math.inf, **more))
        elif (again := _frozen_by_switch(some, every)) is not None:
            one, (first, then) = again
            text = f"training call {then} has the mask of training call {first}{one.how(then)}; without that switch no mask repeats"
            numbers = {"repeats": len(one.repeats), "calls": len(one.answers)}
            found.append(finding(check, where, "fail", text, log10_evidence=-math.inf, tallies=numbers))
        else:
            rate = asked[0][0].rate
            shares = [one.answers[step]["gone"] / one.answers[step]["size"] for one, step in asked if one.rate == rate]
            text = f"training drops after inference, in {len(asked)} calls"
            more = {"estimate": float(np.mean(shares)), "expected": rate, "unit": "share of elements dropped"}
            found.append(finding(check, where, "pass", text, coins=sum(r.coins(s) for r, s in asked), **more))
    return found


CHECKS = (
    Check(
        name="mode.inference",
        how="Training and inference calls alternate, and every output of inference is compared bit for bit with its input. This "
        "covers many shapes, all dtypes, gradient recording, rates 0, .9 and 1, and special values such as NaN. It covers every "
        "switch of the framework, such as eval() or a training argument. Inference calls between training "
        "calls must not change the masks that follow. If the contract has inference='keep', the output must be the input times "
        "1 - rate. If it has 'active', inference must drop by pattern, scale and rate, with a false failure below 10^-9.",
        remedy="Return the input first: `if not self.training: return x` in PyTorch, `if not training: return x` in Keras, "
        "`if deterministic: return x` in Flax, before you draw a random number. Pass the flag on: "
        "F.dropout(x, p, training=self.training). Scale in training only.",
        observe=in_turn(_inference, of_all_values),
    ),
    Check(
        name="mode.toggle",
        how="Training and inference calls alternate, on one shape and on the shapes of the plan, also on shapes that inference "
        "used first. Every training call must drop. By chance it drops nothing with a probability below 10^-12. After each other "
        "way of switching, such as eval(), training must not repeat a mask (10^-15).",
        remedy="Do not change the layer in inference: no `self.p = 0`, no stored mask of ones, no cached function that was built "
        "in inference. Decide by the flag of the current call.",
        observe=_toggle,
    ),
)
