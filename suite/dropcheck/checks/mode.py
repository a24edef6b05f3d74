"""The mode family: inference is the identity and spends no randomness, and training works again after it."""

from __future__ import annotations

import math

import numpy as np

from dropcheck.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.checks.questions import Layer, dropped, ladder, probe, telling
from dropcheck.results import Finding
from dropcheck.worker import rounding
from dropcheck.worker.client import Refused


def _rate(bench: Bench) -> float:
    return ladder(bench, (0.5,))[0]


def _inference(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if not bench.info.get("inference", True):
        return [skipped(check, "inference", "the function takes no `training`: inference is its caller's business")]
    found = []
    pattern = bench.contract.pattern
    for dtype in bench.dtypes:
        for record in (False, True) if bench.info["gradients"] else (False,):
            where = f"{dtype} rate={_rate(bench):g}" + (" grad" if record else "")
            x = probe(pattern, dtype, 33, 65, 3)
            try:
                layer = Layer(bench, _rate(bench), dtype)
                answer = layer.call(x, training=False, record=record, times=3)
                layer.call(x, training=True)
                after = layer.call(x, training=False, record=record)
            except Refused as refused:
                found.append(finding(check, where, "fail", f"inference raises {refused}"))
                continue
            bench.traits.setdefault("inference returns the input itself", {})[dtype] = answer.same_object
            wanted = rounding.to_dtype(x, dtype)
            wrong = [
                raw
                for raw, kind in [*((r, answer.dtype) for r in answer.raw), (after.raw[0], after.dtype)]
                if kind != dtype or not rounding.same_bits(raw, wanted, dtype)
            ]
            if wrong:
                kind = answer.dtype
                if kind != dtype or wrong[0].shape != wanted.shape:
                    text = f"inference turns {dtype} {wanted.shape} into {kind} {tuple(wrong[0].shape)}"
                else:
                    values = rounding.to_float64(wrong[0], dtype)
                    zero = float(np.mean(values == 0))
                    text = f"inference changes its input: {zero:.0%} of the elements became 0, " + (
                        f"the others were multiplied by {_factor(x, values):.4g}"
                    )
                found.append(finding(check, where, "fail", text, log10_evidence=-math.inf))
                continue
            found.append(finding(check, where, "pass", "inference returns its input bit for bit"))
    found.extend(_spends_nothing(check, bench))
    return found


def _factor(x: np.ndarray, y: np.ndarray) -> float:
    kept = (y != 0) & np.isfinite(y)
    return float(np.median(y[kept] / x[kept])) if kept.any() else math.nan


def _spends_nothing(check: Check, bench: Bench) -> list[Finding]:
    """Inference calls between training calls must not change the coins that follow."""
    if not bench.contract.seeds:
        return [skipped(check, "spends no randomness", "the contract promises no reproducible seeds to see it by")]
    rate = _rate(bench)
    x = probe(bench.contract.pattern, bench.first, 33, 65, 3)
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
        return [skipped(check, "spends no randomness", f"the layer refuses: {refused}")]
    if not all(np.array_equal(a, b) for a, b in zip(first, again, strict=True)):
        return [skipped(check, "spends no randomness", "the same seed gives other masks: see seed.reproducible")]
    if all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
        return [finding(check, "spends no randomness", "pass", "inference between training calls changes no coin")]
    return [
        finding(
            check,
            "spends no randomness",
            "fail",
            "the coins of the second training call differ when an inference call comes before it",
            log10_evidence=-math.inf,
        )
    ]


def _toggle(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if not bench.info.get("inference", True):
        return [skipped(check, "inference", "the function takes no `training`: it cannot be switched")]
    found = []
    for dtype in bench.dtypes[:1] if bench.profile == "quick" else bench.dtypes:
        rate = _rate(bench)
        where = f"{dtype} rate={rate:g}"
        try:
            x = telling(bench, rate, dtype, 33, 65, 3)
            layer = Layer(bench, rate, dtype)
            shares = []
            for _ in range(3):
                shares.append(float(np.mean(dropped(layer.call(x).values(), bench, rate, dtype))))
                layer.call(x, training=False)
        except Refused as refused:
            if refused.where == "unsupported":
                found.append(skipped(check, where, str(refused)))
                continue
            found.append(finding(check, where, "fail", f"switching between training and inference raises {refused}"))
            continue
        if shares[0] == 0:
            found.append(skipped(check, where, "nothing was dropped before inference either: see rate.marginal"))
        elif min(shares[1:]) == 0:
            found.append(
                finding(
                    check,
                    where,
                    "fail",
                    f"after inference, training drops nothing any more ({shares[0]:.0%} of the elements before)",
                    estimate=min(shares),
                    expected=rate,
                    unit="share of elements dropped",
                    log10_evidence=-math.inf,
                )
            )
        else:
            found.append(
                finding(
                    check,
                    where,
                    "pass",
                    "training drops again after inference",
                    estimate=shares[-1],
                    expected=rate,
                    unit="share of elements dropped",
                    coins=3 * 33 * 65,
                )
            )
    return found


CHECKS = (
    Check(
        name="mode.inference",
        claim="inference returns the input bit for bit and spends no randomness",
        how="Outputs in inference are compared bit for bit with the input, before and after training calls, with gradient "
        "recording on and off; and the coins of training calls under one seed must not change when inference calls come "
        "between them.",
        remedy="Return the input when not training, before any random number is drawn, and scale in training only.",
        observe=_inference,
    ),
    Check(
        name="mode.toggle",
        claim="training works again after inference",
        how="Training and inference calls alternate; every training call must drop.",
        remedy="Inference must not change the layer's state, such as a stored mask, rate or flag.",
        observe=_toggle,
    ),
)
