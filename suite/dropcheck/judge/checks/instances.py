"""Two instances of a class, and copies of a layer: coins of their own, and nothing lost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, telling
from dropcheck.judge.checks.looks import (
    Look,
    alternating,
    faults,
    life,
    look,
    only_eager,
    refused,
    repeats,
    shared_words,
    standing,
    times,
    unseeded,
    word_sizes,
    wrapped,
)
from dropcheck.results.audit import Finding
from dropcheck.worker.client import Refused

MOST = 128  # calls of a layer and of its copy in turn


def _input(bench: Bench, rate: float) -> Any:
    return telling(bench, rate, bench.first, *word_sizes(bench, rate))


def _instances(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Every way in which a seed reaches the layer: two layers that are called in turn."""
    if (early := only_eager(check, bench, "two layers")) is not None:
        return early
    rate, dtype = standing(bench, 0.5), bench.first
    found = []
    for way in bench.contract.seeds or ("",):
        for kind, pair in _pairs(bench, way, rate).items():
            where = f"{dtype} rate={rate:g} two layers, {kind}"
            try:
                x = _input(bench, rate)
                one, two = pair()
                seen = alternating(bench, one, two, x, rate, dtype)
            except Refused as error:
                found.append(refused(check, where, error, "two layers of one class, called in turn, raise"))
                continue
            except _Contract as reason:
                found.append(skipped(check, where, str(reason)))
                continue
            found.append(_apart(check, bench, where, x, seen, "two layers"))
    return found


class _Contract(Exception):
    """The two layers share their coins by contract."""


def _pairs(bench: Bench, way: str, rate: float) -> dict[str, Any]:
    """Names of pairs of layers that must not share a coin, and what makes each pair."""

    def seeds() -> tuple[Layer, Layer]:
        # far apart: what neighbouring seeds share is told by seed.neighbours
        other = (bench.seed * 2654435761 + 1013904223) % 2**31
        return Layer(bench, rate, seed=bench.seed, way=way), Layer(bench, rate, seed=other, way=way)

    def one_source() -> tuple[Layer, Layer]:
        one = Layer(bench, rate, seed=bench.seed, way=way)
        got = life(bench, "sibling", id=one.id, rate=rate, dtype=one.dtype, way=one.way)
        return one, wrapped(one, int(got["id"]))

    def nobody() -> tuple[Layer, Layer]:
        default = life(bench, "unseeded")["default"]
        if default is not None:
            raise _Contract(f"the constructor's seed is {default} by default: two layers share it by contract")
        one = unseeded(bench, rate, way)
        got = life(bench, "sibling", id=one.id, rate=rate, dtype=one.dtype, way=one.way)
        return one, wrapped(one, int(got["id"]))

    if way in ("global", ""):
        return {"one global seed" if way else "no seed": one_source}
    if way == "constructor":
        return {"two constructor seeds": seeds, "constructors without a seed": nobody}
    source = {"generator": "one generator for both", "key": "one source of keys for both"}[way]
    return {f"{way}s of two seeds": seeds, source: one_source}


def _apart(check: Check, bench: Bench, where: str, x: Any, seen: tuple[Look, Look], who: str) -> Finding:
    """Whether two layers that were called in turn have words of coins in common."""
    one, two = seen
    if one.form or two.form:
        return skipped(check, where, f"no coin could be read: {one.form or two.form} (see form.shape-dtype)")
    common, every = shared_words(bench, one, two, x)
    if not every:
        return skipped(check, where, f"too few coins to tell a copy from chance ({one.share:.0%} of {one.coins} drop)")
    numbers: dict[str, Any] = dict(
        estimate=float(common),
        expected=0.0,
        unit="words of coins that both layers show",
        coins=one.coins + two.coins,
        # where a layer repeats its own words, that others have them may follow: see judging.py
        tallies={"common": common, "words": every, "within": repeats(bench, one, x)},
    )
    if not common:
        text = f"{who} called in turn show no word of coins in common, of {every} each"
        return finding(check, where, "pass", text, **numbers)
    text = f"{who} called in turn show {common} of {every} words of coins (rows, whole calls) in common, expected 0"
    return finding(check, where, "fail", text, log10_evidence=-math.inf, **numbers)


def _copies(check: Check, bench: Bench, limits: Limits) -> list[Finding]:
    """Each way of copying: what the copy drops and how it scales, what it shares with the original, what that keeps."""
    if (early := only_eager(check, bench, "copies")) is not None:
        return early
    rate, dtype = standing(bench, 0.3), bench.first
    start = f"{dtype} rate={rate:g}"
    try:
        x = _input(bench, rate)
        calls = times(bench, x)
        layer = Layer(bench, rate)
        first = layer.call(x, times=calls)  # a layer in use: some state comes with the first call
        answers = life(bench, "copies", id=layer.id, rate=rate, dtype=dtype, way=layer.way)["answers"]
    except Refused as error:
        return [refused(check, f"{start} copies", error, "a layer that is to be copied raises")]
    control = look(bench, first.raw, first.dtype, x, rate, dtype)
    found, shown = [], [*control.masks]
    for answer in answers:
        where = f"{start} {answer['way']}"
        if "id" not in answer:
            found.append(skipped(check, where, f"no such copy: {answer['reason']}"))
            continue
        found.extend(_copy(check, bench, where, layer, wrapped(layer, int(answer["id"])), answer, x, control, shown))
    return found


def _copy(
    check: Check,
    bench: Bench,
    where: str,
    layer: Layer,
    copy: Layer,
    answer: dict[str, Any],
    x: Any,
    control: Look,
    shown: list[Any],
) -> list[Finding]:
    """One copy. ``shown``: all masks that the original has shown so far, to which those of its further calls are added."""
    rate, dtype = layer.rate, layer.dtype
    scale = bench.contract.scale_at(rate)
    try:
        of_copy = copy.call(x, times=times(bench, x))
        seen = look(bench, of_copy.raw, of_copy.dtype, x, rate, dtype)
        # a share of few coins tells nothing: patterns of one coin a call, or a sample, are asked more often
        pair = alternating(bench, layer, copy, x, rate, dtype, max(3, min(times(bench, x), MOST)))
    except Refused as error:
        return [refused(check, where, error, "the copy raises")]
    shown.extend(pair[0].masks)
    all_of_both = replace(pair[0], masks=tuple(shown)), replace(pair[1], masks=seen.masks + pair[1].masks)
    wrong = faults(seen, control, rate, scale)
    wrong += [f"after it was copied, the original: {words}" for words in faults(pair[0], control, rate, scale)]
    numbers: dict[str, Any] = dict(
        estimate=seen.share,
        expected=rate,
        unit="share of coins that the copy drops",
        coins=seen.coins,
        tallies={**seen.tallies(), "within": repeats(bench, seen, x) + repeats(bench, pair[0], x)},
    )
    if wrong:
        return [finding(check, where, "fail", f"the copy: {'; '.join(wrong)}", log10_evidence=-math.inf, **numbers)]
    found = [finding(check, where, "pass", "the copy keeps pattern, rate and scale", **numbers)]
    if answer["stream"] == "apart":
        found.append(_apart(check, bench, f"{where} in turn", x, all_of_both, "a layer and its copy"))
        return found
    common, every = shared_words(bench, *all_of_both, x)
    same = "the original's" if every and common else "its own"
    bench.traits.setdefault("coins of a copy", {})[answer["way"]] = same
    return found


CHECKS = (
    Check(
        name="form.copies",
        role="layers in turn",
        how="A layer in use is copied in every way that its framework has (copy.deepcopy, pickle, state_dict, get_config, "
        "clone_model, nnx.clone, ...). The copy must drop, scale and share coins as the original does. Where the coins come "
        "from a source outside of the layer, copy and original are called in turn and must have no word of coins in common "
        "(rows and whole calls; below 10^-9 by chance). Where the copy takes a generator along, what it shares is a trait. "
        "What raises when it is copied is skipped, with its words.",
        remedy="Let the rate be an attribute or a buffer that is copied, and draw when the layer is called: masks, caches and "
        "tables by id() do not survive a copy.",
        observe=_copies,
    ),
    Check(
        name="seed.instances",
        role="layers in turn",
        how="Two layers are made and called in turn: after one global seed, with one generator, with different constructor "
        "seeds or keys, without a seed. Their rows and whole calls must have no word of coins in common (below 10^-9 by "
        "chance). The same constructor seed may share.",
        remedy="Keep no mask, cache or generator on the class or the module; seed a generator of the layer's own from the "
        "framework's, not from a constant (torch.Generator() begins with a constant, too).",
        observe=_instances,
    ),
)
