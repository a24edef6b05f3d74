"""The gradient family: the backward pass uses the forward pass's coins and scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropcheck.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.checks.questions import Layer, by_coin, coins_of, dropped, enough, ladder, probe, telling
from dropcheck.results import NOT_INTERPRETABLE, Finding
from dropcheck.worker import rounding
from dropcheck.worker.client import Refused, ask

_SIZES = (33, 65, 3)  # 2145 coins a call, whatever the pattern
_RATES = (0.3, 0.15, 0.9)
_RECOMPUTED_CALLS = 3  # some layers go wrong with every second call only
_WORDS = 300  # of an exception, in a message


def _applies(check: Check, bench: Bench) -> list[Finding] | None:
    if not bench.info["gradients"]:
        return [skipped(check, "gradient", f"{bench.info['framework']} has no gradients here")]
    return None


def _case(bench: Bench, dtype: str, rate: float, kind: str) -> dict[str, Any]:
    """One forward and backward pass; inputs with zeros and negatives; coins known from elements that are not 0."""
    pattern = bench.contract.pattern
    x = telling(bench, rate, dtype, *enough(pattern, *_SIZES), seed=41).copy()
    columns = by_coin(pattern, np.arange(x.size).reshape(x.shape))
    flat = x.ravel()
    if kind == "zeros":
        # as after a ReLU: half of the elements are 0, but of every coin the first is not
        rng = np.random.default_rng(7)
        zero = columns[:, 1:][rng.random(columns[:, 1:].shape) < 0.6]
        flat[zero] = 0.0
        flat[flat < 0] *= -1
    elif kind == "negative":
        flat[:] = -np.abs(flat)
    cotangent = probe(pattern, dtype, *enough(pattern, *_SIZES), seed=43)
    layer = Layer(bench, rate, dtype)
    layer.gradient(x, cotangent)  # a first pass: some defects begin with the second
    y, gradient, kind_of = layer.gradient(x, cotangent)
    if gradient is None:
        # a gradient that does not exist counts as 0
        gradient, kind_of = np.zeros_like(y), dtype
    coin_values = by_coin(pattern, y)
    reference = by_coin(pattern, x) != 0
    gone = dropped(coin_values, bench, rate, dtype)
    drops = (gone | ~reference).all(axis=1) & reference.any(axis=1)
    return {
        "x": by_coin(pattern, x),
        "cotangent": by_coin(pattern, cotangent),
        "dropped": drops,
        "gradient": by_coin(pattern, gradient),
        "dtype": kind_of,
    }


def _each(check: Check, bench: Bench, decide: Any) -> list[Finding]:
    found = []
    for dtype in bench.dtypes:
        for rate in ladder(bench, _RATES):
            for kind in ("plain", "zeros", "negative"):
                where = f"{dtype} rate={rate:g} grad {kind}"
                try:
                    got = _case(bench, dtype, rate, kind)
                except Refused as refused:
                    if refused.where == "unsupported":
                        found.append(skipped(check, where, str(refused)))
                    else:
                        found.append(finding(check, where, "fail", f"the backward pass raises {refused}"))
                    continue
                if got["gradient"].shape != got["x"].shape:
                    found.append(finding(check, where, "fail", "the gradient has another shape than the input"))
                    continue
                found.append(decide(check, where, got, rate, dtype, bench))
    return found


def _mask_of(check: Check, where: str, got: dict[str, Any], rate: float, dtype: str, bench: Bench) -> Finding:
    gradient, drops = got["gradient"], got["dropped"]
    coins = len(drops)
    leaking = int(np.count_nonzero((gradient != 0) & drops[:, None]))
    missing = int(np.count_nonzero((gradient == 0) & ~drops[:, None]))
    at_zero = int(np.count_nonzero((gradient == 0) & ~drops[:, None] & (got["x"] == 0)))
    tallies = {
        "coins": coins,
        "dropped": int(drops.sum()),
        "leaking": leaking,
        "missing": missing,
        "missing_at_zero": at_zero,
    }
    if not leaking and not missing:
        return finding(
            check,
            where,
            "pass",
            f"the gradient is 0 for dropped coins and only there ({coins} coins)",
            coins=coins,
            tallies=tallies,
        )
    parts = []
    if missing:
        kept = max(1, int(np.count_nonzero(~drops)) * gradient.shape[1])
        parts.append(f"the gradient is 0 at {missing / kept:.0%} of kept positions")
        if at_zero == missing:
            parts[-1] += ", all of them where the input is 0"
    if leaking:
        parts.append(f"it is not 0 at {leaking} positions of dropped coins")
    return finding(
        check,
        where,
        "fail",
        " and ".join(parts),
        coins=coins,
        tallies=tallies,
        log10_evidence=-math.inf,
        estimate=float(missing + leaking),
        expected=0.0,
        unit="positions with a wrong gradient",
    )


def _scale_of(check: Check, where: str, got: dict[str, Any], rate: float, dtype: str, bench: Bench) -> Finding:
    kept = ~got["dropped"]
    gradient, cotangent = got["gradient"][kept].ravel(), got["cotangent"][kept].ravel()
    seen = gradient != 0  # zeros are the business of gradient.mask
    gradient, cotangent = gradient[seen], cotangent[seen]
    if got["dtype"] != dtype:
        return finding(check, where, "fail", f"the gradient of a {dtype} input is {got['dtype']}")
    if not len(gradient):
        return skipped(check, where, "no kept position has a gradient: see gradient.mask")
    unique, index = np.unique(cotangent, return_inverse=True)
    low, high = rounding.bounds(unique, rate, bench.contract.scale, dtype)
    with np.errstate(invalid="ignore"):
        wrong = ~((gradient >= low[index]) & (gradient <= high[index]))
    factor = bench.contract.scale_at(rate)
    ratio = float(np.median(gradient / cotangent))
    numbers: dict[str, Any] = dict(
        estimate=ratio,
        expected=factor,
        unit="factor of the gradient",
        coins=int(kept.sum()),
        tallies={"wrong": int(wrong.sum()), "positions": len(gradient)},
    )
    if wrong.any():
        return finding(
            check,
            where,
            "fail",
            f"{int(wrong.sum())} of {len(gradient)} gradients are not the cotangent times {factor:.6g}; the median factor "
            f"is {ratio:.6g}",
            log10_evidence=-math.inf,
            **numbers,
        )
    return finding(check, where, "pass", f"gradients of kept coins are the cotangent times {factor:.6g}", **numbers)


def _mask(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return _applies(check, bench) or _each(check, bench, _mask_of)


def _scale(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return _applies(check, bench) or _each(check, bench, _scale_of)


def _forward_right(bench: Bench, x: Any, y: Any, rate: float, dtype: str) -> bool:
    """Whether a forward pass at rate 0 returns what the contract says, and at rate 1 nothing but dropped values."""
    if y.shape != x.shape:
        return False
    if rate == 1:
        return bool(dropped(y, bench, rate, dtype).all())
    low, high = rounding.bounds(x, rate, bench.contract.scale, dtype, bench.contract.offset)
    with np.errstate(invalid="ignore"):
        return bool(((y >= low) & (y <= high)).all())


def _edges(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := _applies(check, bench)) is not None:
        return early
    if bench.contract.rates is not None:
        return [skipped(check, "rates 0 and 1", "this layer stands at one rate and takes no other")]
    found = []
    pattern = bench.contract.pattern
    for dtype in bench.dtypes:
        for rate in (0.0, 1.0):
            where = f"{dtype} rate={rate:g} grad"
            x = probe(pattern, dtype, *enough(pattern, *_SIZES), seed=41)
            cotangent = probe(pattern, dtype, *enough(pattern, *_SIZES), seed=43)
            try:
                layer = Layer(bench, rate, dtype)
                layer.call(x, record=True)  # what refuses the forward pass already is judged by rate.zero and rate.one
            except Refused as refused:
                verdict = "fail" if limits.strict and refused.where != "unsupported" else "skipped"
                found.append(finding(check, where, verdict, f"rate {rate:g} is refused: {refused}"))  # type: ignore[arg-type]
                continue
            try:
                y, gradient, _ = layer.gradient(x, cotangent)
            except Refused as refused:
                verdict = "skipped" if refused.where == "unsupported" else "fail"
                text = f"at rate {rate:g} the forward pass works and the backward pass raises {refused}"
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
                        f"the gradient at rate {rate:g} is finite and right",
                        coins=coins_of(pattern, x.shape),
                    )
                )
                continue
            if not _forward_right(bench, x, y, rate, dtype):
                # 0 * inf, or a coin that falls at rate 0: the gradient is that of the forward pass
                cause = "rate.zero" if rate == 0 else "rate.one"
                text = f"{NOT_INTERPRETABLE} while {cause} fails: the forward pass is wrong at rate {rate:g} already"
                found.append(skipped(check, where, text))
                continue
            infinite = int(np.count_nonzero(~np.isfinite(gradient)))
            wrong = int(np.count_nonzero(gradient != wanted)) if gradient.shape == wanted.shape else gradient.size
            found.append(
                finding(
                    check,
                    where,
                    "fail",
                    f"at rate {rate:g}, {wrong} of {gradient.size} gradients are wrong, {infinite} of them not finite",
                    log10_evidence=-math.inf,
                    tallies={"wrong": wrong, "nonfinite": infinite},
                    coins=coins_of(pattern, x.shape),
                )
            )
    return found


def _recompute(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Several training calls under each way of checkpointing: coins seen in the output against zeros of the gradient."""
    if (early := _applies(check, bench)) is not None:
        return early
    if not {"global", "key"} & set(bench.contract.seeds):
        return [
            skipped(
                check,
                "checkpointing",
                "the contract declares no seed by a key or by the framework's global generator, which is all that "
                "checkpointing restores",
            )
        ]
    found = []
    for dtype in bench.dtypes:
        for rate in ladder(bench, _RATES[:2]):
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
        bench, rate, dtype, *enough(pattern, *_SIZES), seed=41
    )  # no element is 0, so the output shows every coin
    cotangent = probe(pattern, dtype, *enough(pattern, *_SIZES), seed=43)
    layer = Layer(bench, rate, dtype, way="global" if "global" in bench.contract.seeds else "key")
    got = ask(bench.session, "recompute", id=layer.id, x=x, dtype=dtype, cotangent=cotangent, times=_RECOMPUTED_CALLS)
    found = []
    for answer in got["answers"]:
        place = f"{where} {answer['way']} call {answer['call']}"
        if (reason := answer.get("unsupported")) is not None:
            found.append(skipped(check, f"{where} {answer['way']}", reason))
            continue
        if (error := answer.get("error")) is not None:
            words = (error["message"].strip().splitlines() or [""])[0][:_WORDS]
            text = f"recomputing the forward pass raises {error['type']}" + (f": {words}" if words else "")
            found.append(finding(check, place, "fail", text, tallies={"raised": error["type"]}))
            continue
        y = rounding.to_float64(answer["y"], answer["dtype"])
        gradient = np.zeros_like(y)
        if answer["gradient"] is not None:
            gradient = rounding.to_float64(answer["gradient"], answer["gradient_dtype"])
        if gradient.shape != x.shape or y.shape != x.shape:
            found.append(finding(check, place, "fail", "the gradient or the output has another shape than the input"))
            continue
        drops = dropped(by_coin(pattern, y), bench, rate, dtype).all(axis=1)
        parts = {"x": by_coin(pattern, x), "dropped": drops, "gradient": by_coin(pattern, gradient)}
        found.append(_mask_of(check, place, parts, rate, dtype, bench))
    return found


CHECKS = (
    Check(
        name="gradient.mask",
        claim="the backward pass uses the forward pass's coins, also where the input is 0 or negative",
        how="The gradient of sum(output * cotangent) must be 0 exactly where the forward pass dropped. The coin of an element "
        "that is 0 is known from other elements that share it. Second passes are judged, on plain inputs, on inputs with "
        "zeros as after a ReLU, and on negative inputs.",
        remedy="Keep the mask of the forward pass for the backward pass; do not infer it from the output being 0 or from signs.",
        observe=_mask,
    ),
    Check(
        name="gradient.scale",
        claim="the backward pass uses the forward pass's scale",
        how="Every gradient of a kept coin must be its cotangent times the scale, 1 / (1 - rate) or what the contract "
        "declares (a for alpha dropout, whose constant offsets have no gradient), to the same bound as kept values.",
        remedy="The derivative of mask * scale * x is mask * scale: multiply by the scale once, in the backward pass too.",
        observe=_scale,
    ),
    Check(
        name="gradient.recompute",
        claim="the backward pass uses the forward pass's coins also when the forward pass is recomputed (activation "
        "checkpointing)",
        how="Training calls run under the framework's own checkpointing (PyTorch: both ways, generator state preserved; "
        "JAX: jax.checkpoint), and the gradient must be 0 exactly where the output of the first pass was dropped: "
        "with 2145 coins a call, two independent masks at rate .15 agree by chance with probability below 10^-270. "
        "Asked only where the contract declares seeds by the framework's global generator or by a key: what a layer draws "
        "from elsewhere is not restored.",
        remedy="Draw the mask from the framework's global generator in every forward pass, and keep no counter, block of "
        "masks or generator beside it that a second forward pass would move on.",
        observe=_recompute,
    ),
    Check(
        name="gradient.edges",
        claim="gradients are finite and right at rate 0 and rate 1",
        how="At rate 0 the gradient must be the cotangent bit for bit, at rate 1 zero; one NaN is a failure, and so is a "
        "backward pass that raises where the forward pass works.",
        remedy="Avoid 0 * inf: at rate 1 the factor is infinite and the mask 0.",
        observe=_edges,
    ),
)
