"""The backward pass uses the mask and the scale of the forward pass."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, in_turn, skipped
from dropcheck.judge.checks.crossings import gradient_of_inference
from dropcheck.judge.checks.exact_questions import (
    Values,
    dropped,
    kept_bounds,
)
from dropcheck.judge.checks.gradient_passes import Passed, each_case, no_gradients, second_pass
from dropcheck.judge.checks.visible import (
    KEPT,
    columns,
    follows,
    nonfinite_words,
    repeats,
    right_values,
    small_values,
)
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing, percent
from dropcheck.worker.server import rounding


def mask_result(check: Check, where: str, got: Passed, rate: float, dtype: str, bench: Bench) -> Finding:
    """The gradient is 0 where the element was dropped, and only there; elements that do not show their coin are left out."""
    gradient, known = got.gradient, got.seen.known
    gone, kept = got.seen.gone & known, ~got.seen.gone & known
    places = columns(bench.contract.pattern, got.x)
    coins = len(places)
    leaking = int(np.count_nonzero((gradient != 0) & gone))
    missing = int(np.count_nonzero((gradient == 0) & kept))
    at_zero = int(np.count_nonzero((gradient == 0) & kept & (got.x == 0)))
    tallies = {
        "coins": coins,
        "dropped": int(gone.ravel()[places].any(axis=1).sum()),
        "leaking": leaking,
        "missing": missing,
        "missing_at_zero": at_zero,
    }
    if not leaking and not missing:
        if 2 * np.count_nonzero(known | (got.x == 0)) < known.size:
            return skipped(check, where, follows(KEPT, "most outputs are neither the dropped value nor a kept one"))
        if got.unseen:
            return skipped(check, where, got.unseen)
        return finding(
            check,
            where,
            "pass",
            f"the gradient is 0 where the output is dropped, and only there ({coins} drop decisions)",
            coins=coins,
            tallies=tallies,
        )
    if at_zero == missing and not leaking and _flushes(bench, rate, dtype, got):
        text = f"the gradient is 0 at {missing} kept positions, all of them where the input is 0"
        return skipped(check, where, follows(KEPT, f"the forward pass sets small values to 0; {text}"))
    parts = []
    if missing:
        parts.append(
            f"the gradient is 0 at {percent(missing / max(1, int(kept.sum())))} of the kept positions, expected 0%"
        )
        if at_zero == missing:
            parts[-1] += "; all of them are inputs of 0"
    if leaking:
        parts.append(f"the gradient is not 0 at {leaking} dropped positions, expected none")
    return finding(
        check,
        where,
        "fail",
        "; ".join(parts),
        coins=coins,
        tallies=tallies,
        log10_evidence=-math.inf,
        estimate=float(missing + leaking),
        expected=0.0,
        unit="positions with a wrong gradient",
    )


def _flushes(bench: Bench, rate: float, dtype: str, got: Passed) -> bool:
    """The control where a gradient is missing at inputs of 0: whether the forward pass makes 0 of small values as well.

    The same calls, with small numbers in the place of the zeros; what is kept must not come out as 0.
    """
    x, hidden = got.x.copy(), got.x == 0
    x[hidden] = np.resize(small_values(dtype), int(hidden.sum()))
    y, _, _ = second_pass(bench, rate, dtype, x, got.cotangent)
    if not repeats(got.seen.gone, dropped(y, bench, rate, dtype), ~hidden & got.seen.known):
        places = columns(bench.contract.pattern, x)
        coin = np.zeros(x.shape, bool)
        fell = dropped(y, bench, rate, dtype).ravel()[places] | hidden.ravel()[places]
        coin.ravel()[places] = fell.all(axis=1)[:, None]
    else:
        coin = got.seen.gone
    return bool((hidden & got.seen.known & ~coin & (y == 0)).any())


def _scale_of(check: Check, where: str, got: Passed, rate: float, dtype: str, bench: Bench) -> Finding:
    """Gradients of kept elements against the promised scale, or, where the forward pass has another one, against that."""
    if got.dtype != dtype:
        return finding(check, where, "fail", f"the gradient of a {dtype} input is {got.dtype}, expected {dtype}")
    kept = got.seen.known & ~got.seen.gone & (got.gradient != 0)  # zeros are the business of gradient.mask
    if not kept.any():
        return skipped(check, where, "no kept position has a gradient (see gradient.mask)")
    gradient, cotangent = got.gradient[kept], got.cotangent[kept]
    low, high = kept_bounds(bench.contract, cotangent, rate, dtype, gradient=True, of=got.y)
    with np.errstate(invalid="ignore"):
        wrong = ~((gradient >= low) & (gradient <= high))
        factors = gradient / cotangent
    factor = bench.contract.scale_at(rate)
    numbers: dict[str, Any] = dict(
        estimate=float(np.median(factors)), expected=factor, unit="factor of the gradient", coins=int(kept.sum())
    )
    forward = _forward_factors(got, rate, dtype, bench)
    if forward is not None:
        per_element, shared = forward
        with np.errstate(invalid="ignore"):
            same = np.abs(factors - per_element[kept]) <= 8 * rounding.unit_roundoff(dtype) * np.abs(factors)
        same |= np.isnan(per_element[kept])  # an input of 0 alone under its coin, where no factor is shared, shows none
        wrong = ~same if shared is not None else wrong & ~same
        numbers["expected"] = factor = shared if shared is not None else factor
    numbers["tallies"] = {"wrong": int(wrong.sum()), "positions": len(gradient)}
    if wrong.any():
        odd = factors[wrong]
        numbers["estimate"] = float(np.median(odd[np.isfinite(odd)])) if np.isfinite(odd).any() else None
        text = f"{int(wrong.sum())} of {len(gradient)} gradients have a wrong scale: the median factor of the wrong ones is "
        text += differing(float(np.median(odd)), factor)
        if words := nonfinite_words(gradient):
            text += f"; {words} among them"
        numbers["unit"] = "factor of the wrong gradients"
        return finding(check, where, "fail", text, log10_evidence=-math.inf, **numbers)
    text = f"gradients at kept positions are the incoming gradient times {factor:.6g}"
    if forward is not None:
        text = f"the backward pass has the scale of the forward pass, {numbers['estimate']:.6g}, which itself is wrong"
        text += f" (see {KEPT})"
    return finding(check, where, "pass", text, **numbers)


def _forward_factors(got: Passed, rate: float, dtype: str, bench: Bench) -> tuple[Values, float | None] | None:
    """The factor of each element as the forward pass shows it, and the one that all share; None where it is as promised.

    An element of 0 has that of its coin's others, if those of each coin are alike, or the one that all share, or else none (NaN).
    """
    kept = got.seen.known & ~got.seen.gone & (got.x != 0)
    if not kept.any() or right_values(bench, got.x, got.y, rate, dtype)[kept].all():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = np.where(kept, (got.y - bench.contract.offset_at(rate)) / got.x, np.nan)
    middle = float(np.nanmedian(factors))
    room = 8 * rounding.unit_roundoff(dtype) * abs(middle)
    shared = middle if float(np.nanmax(np.abs(factors - middle))) <= room else None
    places = columns(bench.contract.pattern, got.x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of coins without any known factor
        of_coin = np.nanmedian(factors.ravel()[places], axis=1)
        apart = np.nanmax(np.abs(factors.ravel()[places] - of_coin[:, None]), axis=1)
        if (apart > 8 * rounding.unit_roundoff(dtype) * np.abs(of_coin)).any():
            of_coin[:] = np.nan  # such as a factor of each time step: no other element shows that of a 0
    if shared is not None:
        of_coin[np.isnan(of_coin)] = shared
    spread = np.empty(factors.size)
    spread[places] = of_coin[:, None]
    return np.where(np.isnan(factors), spread.reshape(factors.shape), factors), shared


def _mask(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return no_gradients(check, bench) or each_case(check, bench, mask_result)


def _scale(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return no_gradients(check, bench) or each_case(check, bench, _scale_of)


CHECKS = (
    Check(
        name="gradient.mask",
        forbidden=("leaking", "missing"),
        how="The gradient of sum(output * g), with a random g, must be 0 exactly where the forward pass drops. Elements are "
        "compared one by one, in the second pass of a layer. The inputs are ordinary, with zeros as after a ReLU, and negative. "
        "For a zero input, the elements that are dropped together with it show the mask, or else the same seed on an input "
        "without zeros. In inference the gradient must equal g bit for bit (PyTorch).",
        remedy="Save the mask of the forward pass and use it in the backward pass: ctx.save_for_backward(mask) in PyTorch, the "
        "residuals of jax.custom_vjp, a local variable in tf.custom_gradient. Do not derive the mask from `output == 0` or "
        "from signs, and do not draw it again.",
        observe=in_turn(_mask, gradient_of_inference),
    ),
    Check(
        name="gradient.scale",
        forbidden=("wrong",),
        how="At every kept position the gradient must be the incoming gradient times the scale: 1 / (1 - rate), or what the "
        "contract declares. The allowed error is that of kept values. If the forward pass of the same call has another scale, "
        "the gradient must have that one.",
        remedy="The derivative of x * mask * scale is mask * scale. In a backward pass of your own return `grad * mask * scale`: "
        "multiply by the scale exactly once.",
        observe=_scale,
    ),
)
