"""The gradient family: the backward pass uses the mask and the scale of the forward pass."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, in_turn, skipped
from dropcheck.judge.checks.crossings import gradient_of_inference
from dropcheck.judge.checks.exact_questions import (
    OUTPUT_SHAPE,
    Layer,
    Values,
    coins_of,
    dropped,
    enough,
    kept_bounds,
    ladder,
    probe,
    telling,
)
from dropcheck.judge.checks.visible import (
    KEPT,
    UNSEEN,
    WHOLE,
    Seen,
    columns,
    follows,
    nonfinite_words,
    repeats,
    right_values,
    seen,
    small_values,
)
from dropcheck.results.audit import Finding
from dropcheck.results.plain_text import differing, percent
from dropcheck.worker.client import Refused, ask
from dropcheck.worker.server import rounding

_SIZES = (33, 65, 3)  # 2145 coins a call, whatever the pattern
_RATES = (0.3, 0.15, 0.9)
_RECOMPUTED_CALLS = 3  # some layers go wrong with every second call only
_WORDS = 300  # of an exception, in a message
UNTOUCHED = "form.input-untouched"


def _applies(check: Check, bench: Bench) -> list[Finding] | None:
    if not bench.info["gradients"]:
        return [skipped(check, "gradient", f"dropcheck computes no gradients in {bench.info['framework']}")]
    return None


@dataclass
class _Passed:
    """One forward and backward pass, arrays in the input's shape. ``unseen``: why elements that are 0 show no coin."""

    x: Values
    y: Values
    cotangent: Values
    gradient: Values
    dtype: str
    seen: Seen
    unseen: str = ""


def _passes(bench: Bench, rate: float, dtype: str, x: Values, cotangent: Values) -> tuple[Values, Values, str]:
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
    x = telling(bench, rate, dtype, *enough(bench.contract.pattern, *_SIZES), seed=41).copy()
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


def _case(bench: Bench, dtype: str, rate: float, kind: str, plain: Seen | None) -> _Passed:
    """One forward and backward pass, asked once for all checks; ``plain``: what the same calls without zeros showed."""
    key = f"gradient {dtype} {rate!r} {kind}"
    if key not in bench.answers:
        bench.answers[key] = _passed(bench, dtype, rate, kind, plain)
    found: _Passed = bench.answers[key]
    return found


def _passed(bench: Bench, dtype: str, rate: float, kind: str, plain: Seen | None) -> _Passed:
    x = _inputs(bench, rate, dtype, kind)
    cotangent = probe(bench.contract.pattern, dtype, *enough(bench.contract.pattern, *_SIZES), seed=43)
    y, gradient, kind_of = _passes(bench, rate, dtype, x, cotangent)
    if y.shape != x.shape:
        nothing = np.zeros(x.shape, bool)
        return _Passed(x, y, cotangent, gradient, kind_of, Seen(nothing, nothing))
    shown, unseen = seen(bench, x, y, rate, dtype), ""
    hidden = ~shown.known & (x == 0)
    if hidden.any():
        if plain is not None and bench.contract.seeds and repeats(plain.gone, shown.gone, shown.known & plain.known):
            told = hidden & plain.known
            shown = Seen(np.where(told, plain.gone, shown.gone), shown.known | told)
        else:
            unseen = follows(WHOLE) if bench.contract.pattern.shared else UNSEEN
    return _Passed(x, y, cotangent, gradient, kind_of, shown, unseen)


def _each(check: Check, bench: Bench, decide: Any) -> list[Finding]:
    found = []
    for dtype in bench.dtypes:
        for rate in ladder(bench, _RATES):
            plain = None
            for kind in ("plain", "zeros", "negative"):
                where = f"{dtype} rate={rate:g} grad {kind}"
                try:
                    got = _case(bench, dtype, rate, kind, plain)
                except Refused as refused:
                    if refused.where == "unsupported":
                        found.append(skipped(check, where, str(refused)))
                    elif _overwrites(bench, rate, dtype):
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


def _overwrites(bench: Bench, rate: float, dtype: str) -> bool:
    """The control where a backward pass raises: whether a training call overwrites its input, which frameworks refuse then."""
    try:
        return Layer(bench, rate, dtype).call(probe(bench.contract.pattern, dtype, 33, 65, 3, seed=41)).input_changed
    except Refused:
        return False


def _mask_of(check: Check, where: str, got: _Passed, rate: float, dtype: str, bench: Bench) -> Finding:
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


def _flushes(bench: Bench, rate: float, dtype: str, got: _Passed) -> bool:
    """The control where a gradient is missing at inputs of 0: whether the forward pass makes 0 of small values as well.

    The same calls, with small numbers in the place of the zeros; what is kept must not come out as 0.
    """
    x, hidden = got.x.copy(), got.x == 0
    x[hidden] = np.resize(small_values(dtype), int(hidden.sum()))
    y, _, _ = _passes(bench, rate, dtype, x, got.cotangent)
    if not repeats(got.seen.gone, dropped(y, bench, rate, dtype), ~hidden & got.seen.known):
        places = columns(bench.contract.pattern, x)
        coin = np.zeros(x.shape, bool)
        fell = dropped(y, bench, rate, dtype).ravel()[places] | hidden.ravel()[places]
        coin.ravel()[places] = fell.all(axis=1)[:, None]
    else:
        coin = got.seen.gone
    return bool((hidden & got.seen.known & ~coin & (y == 0)).any())


def _scale_of(check: Check, where: str, got: _Passed, rate: float, dtype: str, bench: Bench) -> Finding:
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


def _forward_factors(got: _Passed, rate: float, dtype: str, bench: Bench) -> tuple[Values, float | None] | None:
    """The factor of each element as the forward pass shows it, and the one that all share; None where it is as promised.

    An element of 0 has the median factor of its coin's others; alone under its coin, the one that all share, or else none (NaN).
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
    if shared is not None:
        of_coin[np.isnan(of_coin)] = shared
    spread = np.empty(factors.size)
    spread[places] = of_coin[:, None]
    return np.where(np.isnan(factors), spread.reshape(factors.shape), factors), shared


def _mask(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return _applies(check, bench) or _each(check, bench, _mask_of)


def _scale(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    return _applies(check, bench) or _each(check, bench, _scale_of)


def _edges(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    if (early := _applies(check, bench)) is not None:
        return early
    if bench.contract.rates is not None:
        return [skipped(check, "rates 0 and 1", "the layer has a fixed rate")]
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


def _recompute(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Several training calls under each way of checkpointing: coins seen in the output against zeros of the gradient."""
    if (early := _applies(check, bench)) is not None:
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
    answers = _answers(bench, layer, x, dtype, cotangent)
    found = []
    for answer in answers:
        place = f"{where} {answer['way']} call {answer['call']}"
        if (reason := answer.get("unsupported")) is not None:
            found.append(skipped(check, f"{where} {answer['way']}", reason))
            continue
        if (error := answer.get("error")) is not None:
            words = (error["message"].strip().splitlines() or [""])[0][:_WORDS]
            text = f"the recomputed forward pass raises {error['type']}" + (f": {words}" if words else "")
            if _overwrites(bench, rate, dtype):
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
        parts = _Passed(x, y, cotangent, gradient, answer["gradient_dtype"] or dtype, shown)
        one = _mask_of(check, place, parts, rate, dtype, bench)
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
    Check(
        name="gradient.edges",
        how="At rate 0 the gradient must equal the incoming gradient bit for bit, at rate 1 it must be 0. One NaN is a failure, "
        "and so is a backward pass that raises where the forward pass works. The check is skipped where the forward pass is wrong.",
        remedy="At rate 1, 1 / (1 - rate) is infinite and infinity * 0 is NaN, in the gradient, too. Return `x * 0` or "
        "torch.zeros_like(x) at rate 1 before you divide. A torch.where around a NaN does not help: its gradient is NaN.",
        observe=_edges,
    ),
)
