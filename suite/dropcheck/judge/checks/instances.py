"""Two instances of a class, and copies of a layer: their masks differ, and nothing is lost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dropcheck.judge.checks.base import Bench, Check, Limits, finding, skipped
from dropcheck.judge.checks.exact_questions import Layer, telling
from dropcheck.judge.checks.looks import (
    IN_COMMON,
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
from dropcheck.results.plain_text import percent
from dropcheck.worker.client import Refused
from dropcheck.worker.server.streams import CALLS

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
    return [*found, _left_to_others(check, bench)]


_STREAMS = {
    "torch": "torch.manual_seed",
    "tensorflow": "tf.random.set_seed",
    "numpy.random": "np.random.seed",
    "random": "random.seed",
    "mlx": "mx.random.seed",
    "paddle": "paddle.seed",
}


def _left_to_others(check: Check, bench: Bench) -> Finding:
    """What everybody else draws from the global streams after the layer; the same in two states below 10^-37 by chance."""
    rate, dtype, way = standing(bench, 0.5), bench.first, (bench.contract.seeds or ("",))[0]
    where = f"{dtype} rate={rate:g} others after the layer"
    try:
        x = _input(bench, rate)  # of a shape that was called before: a new one may be compiled
        one, two = life(bench, "left_to_others", rate=rate, dtype=dtype, way=way, seed=bench.seed, x=x)["rounds"]
    except Refused as error:
        return refused(check, where, error, "a new layer and two calls of it raise")
    set_by: dict[str, str] = {}
    for stage in (stage for stage in one if stage in two):
        for name, words in one[stage].items():
            # the same numbers after each call of one layer: a state that each layer has drawn for itself
            again = stage == f"call {CALLS}" and all(got[stage][name] == got["call 1"][name] for got in (one, two))
            if words == two[stage][name] or again:
                set_by.setdefault(name, "the constructor" if stage == "constructor" else "a training call")
    number = sum(len(names) for names in one.values())
    if set_by:
        text = "; ".join(
            f"{stage} sets the random numbers of everybody else: {name} gives the same numbers after it, whatever was drawn before "
            f"(as after {_STREAMS.get(name, 'a new seed')})"
            for name, stage in set_by.items()
        )
        return finding(
            check,
            where,
            "fail",
            text,
            log10_evidence=-math.inf,
            estimate=float(len(set_by)),
            expected=0.0,
            unit="global random streams that the layer sets",
            tallies={"streams": len(set_by)},
        )
    return finding(
        check, where, "pass", f"what others draw after the layer differs from state to state ({number} comparisons)"
    )


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
            raise _Contract(
                f"the constructor's default seed is {default}, so two layers have the same masks by contract"
            )
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
        return skipped(check, where, f"the mask is not visible: {one.form or two.form} (see form.shape-dtype)")
    common, every = shared_words(bench, one, two, x)
    if not every:
        return skipped(
            check,
            where,
            f"too few drop decisions to distinguish copies from chance ({percent(one.share)} of {one.coins} drop)",
        )
    numbers: dict[str, Any] = dict(
        estimate=float(common),
        expected=0.0,
        unit="stretches of the mask that both layers have",
        coins=one.coins + two.coins,
        # where a layer repeats its own words, that others have them may follow: see judging.py
        tallies={"common": common, "words": every, "within": repeats(bench, one, x)},
    )
    if not common:
        text = f"{who}, called in turn, have no mask rows in common ({every} rows and calls each)"
        return finding(check, where, "pass", text, **numbers)
    text = f"{who}, called in turn, have {common} of {every} {IN_COMMON}, expected none"
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
        return [refused(check, f"{start} copies", error, "a layer to be copied raises")]
    control = look(bench, first.raw, first.dtype, x, rate, dtype)
    found, shown = [], [*control.masks]
    for answer in answers:
        where = f"{start} {answer['way']}"
        if "id" not in answer:
            found.append(skipped(check, where, f"the layer has no such copy: {answer['reason']}"))
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
    wrong += [f"the original after the copy: {words}" for words in faults(pair[0], control, rate, scale)]
    numbers: dict[str, Any] = dict(
        estimate=seen.share,
        expected=rate,
        unit="share of drops of the copy",
        coins=seen.coins,
        tallies={**seen.tallies(), "within": repeats(bench, seen, x) + repeats(bench, pair[0], x)},
    )
    if wrong:
        return [finding(check, where, "fail", f"in the copy, {'; '.join(wrong)}", log10_evidence=-math.inf, **numbers)]
    found = [finding(check, where, "pass", "the copy has the pattern, rate and scale of the original", **numbers)]
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
        how="A layer in use is copied in every way of its framework: copy.deepcopy, pickle, state_dict, get_config, clone_model, "
        "nnx.clone and others. The copy must have the pattern, rate and scale of the original. If the random numbers come from "
        "outside of the layer, copy and original are called in turn. They must have no mask rows in common (below 10^-9 by "
        "chance). If the copy takes its own generator along, the masks in common are a trait. A copy that raises is skipped.",
        remedy="Store the rate as an attribute or buffer, in get_config() for Keras, and draw the mask in forward. Do not keep "
        "masks, caches or tables by id(self): a copy has another id, or shares the old mask.",
        observe=_copies,
    ),
    Check(
        name="seed.instances",
        role="layers in turn",
        how="Two layers of one class are called in turn: after one global seed, with one generator, with different constructor "
        "seeds or keys, and without a seed. They must have no mask rows and no whole masks in common (below 10^-9 by chance). "
        "Layers with the same constructor seed may have the same masks. A new layer and two calls of it must also leave the global "
        "random streams (of the framework, NumPy and Python) as they were, or further on: what others draw next is compared "
        "after two states, and is the same below 10^-37 by chance.",
        remedy="Do not keep a mask, a cache or a generator on the class or the module. If the layer has its own generator, seed it "
        "with a number drawn for each layer, such as int(torch.randint(2**31, ())). torch.Generator() without a seed always "
        "starts from the same constant. Never call torch.manual_seed, np.random.seed or random.seed in a layer.",
        observe=_instances,
    ),
)
