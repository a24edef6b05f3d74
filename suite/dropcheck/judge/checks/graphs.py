"""Graphs of calls: several forward passes before a backward pass, incoming gradients of any layout, second derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, by_coin, dropped, kept_bounds, probe, telling
from dropcheck.judge.checks.looks import life, only_eager, refused, standing
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused
from dropcheck.worker.server import rounding

_SIZES = (33, 65, 3)
_KINDS = {"expanded": "as y.sum().backward() makes them", "transposed": "", "strided": ""}


def _start(check: Check, bench: Bench, what: str) -> list[Finding] | None:
    if not bench.info["gradients"]:
        return [skipped(check, what, f"dropcheck computes no gradients in {bench.info['framework']}")]
    return only_eager(check, bench, what)


def _pair(bench: Bench, rate: float, seed: int) -> tuple[Any, Any]:
    """An input whose outputs show every coin, and a cotangent."""
    pattern, dtype = bench.contract.pattern, bench.first
    return telling(bench, rate, dtype, *_SIZES, seed=seed), probe(pattern, dtype, *_SIZES, seed=seed + 2)


class _Counts(dict[str, int]):
    """Wrong positions by kind: ``leaking`` through dropped coins, ``missing`` at kept ones, ``scale`` out of bounds."""

    def words(self, beyond: _Counts) -> str:
        """The kinds that are right in a control, with their numbers; empty where there are none."""
        names = {
            "leaking": "{} gradients are not 0 at dropped positions",
            "missing": "{} gradients are 0 at kept positions",
            "scale": "{} gradients are not the incoming gradient times the scale",
            "shape": "the gradient does not have the shape of the input",
        }
        return "; ".join(text.format(self[k]) for k, text in names.items() if self[k] and not beyond[k])


def _wrong(bench: Bench, y: Any, gradient: Any, cotangent: Any, rate: float) -> _Counts:
    """What is wrong with a gradient, given the output of its own forward pass: coins, then scale of what is kept."""
    counts = _Counts(leaking=0, missing=0, scale=0, shape=0)
    if gradient is None:
        gradient = np.zeros_like(y)  # a gradient that does not exist counts as 0
    if gradient.shape != y.shape:
        counts["shape"] = 1
        return counts
    pattern, dtype = bench.contract.pattern, bench.first
    gone = by_coin(pattern, dropped(y, bench, rate, dtype)).all(axis=1)[:, None]
    g, c = by_coin(pattern, gradient), by_coin(pattern, np.broadcast_to(cotangent, y.shape))
    counts["leaking"] = int(np.count_nonzero((g != 0) & gone))
    counts["missing"] = int(np.count_nonzero((g == 0) & ~gone))
    low, high = kept_bounds(bench.contract, c, rate, dtype, gradient=True, of=y)
    with np.errstate(invalid="ignore"):
        counts["scale"] = int(np.count_nonzero(~((g >= low) & (g <= high)) & ~gone & (g != 0)))
    return counts


def _values(got: dict[str, Any], name: str = "gradient") -> Any:
    return None if got[name] is None else rounding.to_float64(got[name], got["gradient_dtype"])


def _output(got: dict[str, Any]) -> Any:
    return rounding.to_float64(got["y"], got["dtype"])


def _plain(bench: Bench, layer: Layer, rate: float) -> _Counts:
    """The control: one forward pass and its backward pass, as ``gradient.mask`` and ``gradient.scale`` ask it."""
    x, cotangent = _pair(bench, rate, 41)
    y, gradient, _ = layer.gradient(x, cotangent)
    return _wrong(bench, y, gradient, cotangent, rate)


def _told(check: Check, where: str, wrong: _Counts, control: _Counts, what: str, good: str) -> Finding:
    words = wrong.words(control)
    numbers: dict[str, Any] = dict(
        estimate=float(sum(v for k, v in wrong.items() if not control[k])),
        expected=0.0,
        unit="wrong gradients",
        coins=_SIZES[0] * _SIZES[1],
        tallies=dict(wrong),
    )
    if words:
        return finding(check, where, "fail", f"{what}: {words}, expected none", log10_evidence=-math.inf, **numbers)
    return finding(check, where, "pass", good, **numbers)


def _asked(
    check: Check, bench: Bench, where: str, what: str, ask: Callable[[Layer, float, _Counts], list[Finding]]
) -> list[Finding]:
    """The findings of ``ask`` for a fresh layer and its control, or what was raised."""
    rate = standing(bench, 0.3)
    place = f"{bench.first} rate={rate:g} {where}"
    try:
        layer = Layer(bench, rate)
        control = _plain(bench, layer, rate)
    except Refused as error:
        reason = (
            error.message if error.where == "unsupported" else f"a backward pass raises {error} (see gradient.mask)"
        )
        return [skipped(check, place, reason)]
    try:
        return ask(layer, rate, control)
    except Refused as error:
        return [refused(check, place, error, f"{what} raises")]


def _two_passes(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Two forward passes on different inputs, then both backward passes, then the first one's once more."""
    if (early := _start(check, bench, "two passes")) is not None:
        return early

    def ask(layer: Layer, rate: float, control: _Counts) -> list[Finding]:
        pairs = [_pair(bench, rate, seed) for seed in (51, 61)]
        xs, cotangents = [x for x, _ in pairs], [c for _, c in pairs]
        got = life(bench, "passes", id=layer.id, xs=xs, cotangents=cotangents, dtype=layer.dtype)["answers"]
        place = f"{layer.dtype} rate={rate:g} two passes"
        found = []
        for number, (one, cotangent) in enumerate(zip(got, cotangents, strict=True)):
            wrong = _wrong(bench, _output(one), _values(one), cotangent, rate)
            name = ("first", "second")[number]
            what = f"after two forward passes, in the backward pass of the {name}"
            good = f"after two forward passes, the backward pass of the {name} uses its own mask"
            found.append(_told(check, f"{place}, {name}", wrong, control, what, good))
        if got[0]["again"] is not None:
            again = _wrong(bench, _output(got[0]), _values(got[0], "again"), cotangents[0], rate)
            good = "a repeated backward pass uses the same mask"
            found.append(
                _told(check, f"{place}, again", again, control, "in the repeated backward pass of the first", good)
            )
        return found

    return _asked(check, bench, "two passes", "a backward pass after two forward passes", ask)


def _cotangents(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Cotangents that are views: one element for all, transposed, strided."""
    if (early := _start(check, bench, "cotangents")) is not None:
        return early
    found = []
    for kind, words in _KINDS.items():

        def ask(layer: Layer, rate: float, control: _Counts, kind: str = kind, words: str = words) -> list[Finding]:
            x, cotangent = _pair(bench, rate, 41)
            if kind == "expanded":
                cotangent = np.ones_like(cotangent)
            got = life(bench, "cotangent", id=layer.id, x=x, cotangent=cotangent, dtype=layer.dtype, kind=kind)
            wrong = _wrong(bench, _output(got), _values(got), cotangent, rate)
            what = f"{kind} incoming gradients{f' ({words})' if words else ''}"
            place = f"{layer.dtype} rate={rate:g} {kind} cotangent"
            return [_told(check, place, wrong, control, f"with {what}", f"{what} work like contiguous ones")]

        found.extend(_asked(check, bench, f"{kind} cotangent", f"a backward pass with {kind} incoming gradients", ask))
    return found


def _second(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Dropout is linear: its gradient, differentiated by the cotangent in a direction, is that direction under the mask."""
    if (early := _start(check, bench, "second derivative")) is not None:
        return early

    def ask(layer: Layer, rate: float, control: _Counts) -> list[Finding]:
        x, cotangent = _pair(bench, rate, 41)
        direction = probe(bench.contract.pattern, bench.first, *_SIZES, seed=47)
        got = life(bench, "twice", id=layer.id, x=x, cotangent=cotangent, direction=direction, dtype=layer.dtype)
        wrong = _wrong(bench, _output(got), _values(got), direction, rate)
        place = f"{layer.dtype} rate={rate:g} second derivative"
        good = "the derivative of the gradient has the mask and the scale of the forward pass"
        return [_told(check, place, wrong, control, "in the derivative of the gradient", good)]

    return _asked(check, bench, "second derivative", "the derivative of the gradient", ask)


CHECKS = (
    Check(
        name="gradient.two-passes",
        how="Two forward passes run on different inputs. Then the backward passes of the first and the second run, and that of the "
        "first once more (retain_graph). Every gradient must be 0 exactly where its own output is dropped, and the incoming "
        "gradient times the scale elsewhere. Faults that a single pass shows belong to gradient.mask and gradient.scale. Two "
        "independent masks are equal by chance with a probability below 10^-500.",
        remedy="Store the mask in the graph of its call: ctx.save_for_backward(mask) in PyTorch, the residuals of "
        "jax.custom_vjp, a local variable in tf.custom_gradient. Do not store it as self.mask: the next call replaces it.",
        observe=_two_passes,
    ),
    Check(
        name="gradient.cotangents",
        how="The incoming gradient has three memory layouts: one element expanded to the shape of the output, as "
        "y.sum().backward() creates it; transposed; and every second element of a larger tensor. The gradient must be that of "
        "a contiguous one.",
        remedy="Call grad.contiguous() first in a backward pass of your own, or read it by its strides. Do not write into the "
        "incoming gradient: grad.mul_(mask) fails or corrupts others.",
        observe=_cotangents,
    ),
    Check(
        name="gradient.second-derivative",
        how="Dropout is linear in its input. So the derivative of the gradient along a direction must be that direction times the "
        "scale at kept positions, and 0 elsewhere. A backward pass marked once_differentiable is skipped.",
        remedy="Write the backward pass in differentiable operations on the saved mask: `return grad * mask * scale`, without "
        ".data, .detach() or NumPy. Or mark it with torch.autograd.function.once_differentiable.",
        observe=_second,
    ),
)
