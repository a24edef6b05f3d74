"""Failures that follow from another failure at the same dtype, rate, seed or case: shown as following from it.

``verdicts`` orders what is counted from coins, case by case. This is the rest: exact questions, and counts under many seeds. Only
failures are withheld, only while the other claim fails at the same place, and a claim that fails alone is its own failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from dropcheck.judge.checks import of
from dropcheck.judge.checks.exact_questions import OUTPUT_SHAPE
from dropcheck.judge.checks.looks import IN_COMMON, OFF, ONE_MASK
from dropcheck.judge.checks.seed_processes import NO_EFFECT, SAME_MASKS
from dropcheck.results.audit import NOT_INTERPRETABLE, Finding
from dropcheck.results.naming import lead

_COPIES = of("copied channels", "copied rows")
_DEPENDENCE = of("ties", "tied rows", "tied calls")
_RATES = ("rate.marginal", "rate.per-channel", "rate.per-sample")

# sentences whose chance counts the decisions that the pattern declares; then those of earlier versions, in stored results
_SAID = (NO_EFFECT, SAME_MASKS, OFF, IN_COMMON, ONE_MASK)
_SAID_BEFORE = (
    "changes nothing",
    "with different seeds give the same masks",
    "of the coins drop, expected",
    "words of coins",
    "show one mask",
)

# what the cases of two findings must share: some of these words; none: the finding takes no part
Place = Callable[[Finding], tuple[str, ...]]


def _cases(one: Finding) -> tuple[str, ...]:
    """The cases themselves: of a comparison, all of its members."""
    members = one.tallies.get("cases") if one.check == "rate.per-shape" else None
    return tuple(map(str, members)) if isinstance(members, list) else (one.case,)


def _dtype(one: Finding) -> tuple[str, ...]:
    return (lead(one.case),)


def _dtype_and_rate(one: Finding) -> tuple[str, ...]:
    return (" ".join(one.case.split()[:2]),)


def _plain_pass(one: Finding) -> tuple[str, ...]:
    """Of gradient.mask: the backward pass of training calls on ordinary inputs."""
    return _dtype_and_rate(one) if one.case.endswith("grad plain") else ()


def _ordinary(one: Finding) -> tuple[str, ...]:
    """Of form.shape-dtype: inside the edges of the rate, without recording."""
    words = one.case.split()
    return () if {"rate=0", "rate=1", "grad"} & set(words) else tuple(words[:1])


def _other_shape(one: Finding) -> tuple[str, ...]:
    """The same, where it is the shape that is another: a gradient of this output has no place in the input."""
    before = "comes out as (" in one.message and "shape" in one.message  # the sentence of earlier versions
    return _ordinary(one) if OUTPUT_SHAPE in one.message or before else ()


def _after_inference(one: Finding) -> tuple[str, ...]:
    """Counted training calls with inference calls between them."""
    return _dtype(one) if any(word.startswith("infer=") for word in one.case.split()) else ()


def _sizes(one: Finding) -> tuple[str, ...]:
    """The dtype and the sizes of a call: rows, channels, elements of a coin."""
    words = one.case.split()
    sizes = next((w for w in words[1:] if w.count(",") == 2 and "=" not in w), None)
    layouts = {"strided", "transposed", "values", "seeds"}
    return () if sizes is None or layouts & set(words) or "batches=" in one.case else (f"{words[0]} {sizes}",)


def _without_words(one: Finding) -> tuple[str, ...]:
    """The same where the rate is one at which words of coins, and so copies, are not asked: see ``words.searched``."""
    rate = next((w.partition("=")[2] for w in one.case.split() if w.startswith("rate=")), "0.5")
    return _sizes(one) if not 0.3 <= float(rate) <= 0.7 else ()


def _one_row(one: Finding) -> tuple[str, ...]:
    """Of copies within calls: where a call is one row, which has no other sample to repeat."""
    return _dtype(one) if any(place.split()[1].startswith("1,") for place in _sizes(one)) else ()


def _counts(one: Finding) -> tuple[int, int, int]:
    """Rows, channels and calls of a counted case; zeros for any other."""
    words = one.case.split()
    sizes = words[2].split(",") if len(words) > 3 else []
    if len(sizes) < 2 or not all(word.isdigit() for word in sizes) or not words[3].startswith("calls="):
        return 0, 0, 0
    return int(sizes[0]), int(sizes[1]), int(words[3].removeprefix("calls=") or 0)


def _wholly(one: Finding) -> bool:
    """Whether nine tenths of what should differ are copies: the layer flips far fewer coins than its pattern says."""
    rows, channels, _ = _counts(one)
    every = rows - 1 if one.check == "mask.distinct-samples" else channels * (channels - 1) // 2
    return every > 0 and (one.estimate or 0) >= 0.9 * every


def _few_coins(one: Finding) -> tuple[str, ...]:
    """Of copies: where a call has hardly a coin of its own."""
    return _dtype(one) if _wholly(one) else ()


def _few_coins_here(one: Finding) -> tuple[str, ...]:
    return _dtype_and_rate(one) if _wholly(one) else ()


def _odd_calls_of_one_channel(one: Finding) -> tuple[str, ...]:
    """Calls that drop all or nothing, where a call has one channel: one decision for all of its samples is the whole call."""
    return _dtype(one) if "odd_calls" in one.tallies and _counts(one)[1] == 1 else ()


def _by_chance(one: Finding) -> tuple[str, ...]:
    """Of exact questions: these sentences, and no others of their check."""
    return _dtype(one) if any(words in one.message for words in (*_SAID, *_SAID_BEFORE)) else ()


def _spread_twice(one: Finding) -> tuple[str, ...]:
    """Of rates apart: all positions vary by some 2 times as much as independent ones, as sums in which coins count twice do."""
    spread, degrees = one.tallies.get("spread_G"), one.tallies.get("degrees")
    return _dtype(one) if spread and degrees and spread <= 2.5 * degrees and "have different" in one.message else ()


def _short(one: Finding) -> tuple[str, ...]:
    """Of dependence: cases with too few rows to name copied channels by themselves."""
    rows, _, calls = _counts(one)
    return _dtype_and_rate(one) if 0 < rows * calls <= 64 else ()


def _batches(one: Finding) -> tuple[str, ...]:
    """Of form.shape-dtype: counted calls whose batch size varies."""
    return ("",) if any(word.startswith("batches=") for word in one.case.split()) else ()


def _anywhere(one: Finding) -> tuple[str, ...]:
    return ("",)


@dataclass(frozen=True)
class Row:
    """``claim`` follows from ``basis`` where ``place`` of the one and ``where`` of the other share a word; and why."""

    claim: str
    basis: str
    place: Place
    where: Place
    why: str


FOLLOWS = (
    Row("seed.reset", "seed.reproducible", _cases, _cases, "two layers of one seed differ already"),
    Row("scale.mean", "scale.kept-values", _dtype_and_rate, _dtype_and_rate, "single values are wrong already"),
    Row(
        "gradient.recompute",
        "gradient.mask",
        _dtype_and_rate,
        _plain_pass,
        "a pass without recomputing is wrong already",
    ),
    *(
        Row(claim, "form.shape-dtype", _dtype, _ordinary, "every output has another shape or dtype")
        for claim in ("form.strides", "form.batch-change", "form.empty", "form.ranks")
    ),
    *(
        Row(f"gradient.{claim}", "form.shape-dtype", _dtype, _other_shape, "every output has another shape")
        for claim in ("mask", "scale", "edges", "two-passes", "cotangents", "second-derivative", "recompute")
    ),
    Row("form.shape-dtype", "form.batch-change", _batches, _anywhere, "a batch of another size comes out wrong"),
    Row("mode.toggle", "mask.whole-channels", _dtype, _dtype, "elements that drop together do not agree"),
    *(
        Row(claim, basis, _dtype, _dtype, "calls of few different decisions drop nothing by chance")
        for claim, basis in (
            ("mode.toggle", "mask.distinct-channels"),
            ("mode.toggle", "mask.distinct-samples"),
            ("form.batch-change", "mask.distinct-channels"),
        )
    ),
    *(
        Row(claim, basis, _without_words, _sizes, "calls of these sizes hold copies, which are asked at another rate")
        for claim in (*_DEPENDENCE, *_RATES)
        for basis in _COPIES
        # the lags leave copied channels out by themselves: see ``verdicts``
        if basis != "mask.distinct-channels" or claim not in ("mask.independent-samples", "mask.independent-calls")
    ),
    *(
        Row(claim, "mask.distinct-calls", _spread_twice, _dtype, "masks that come again in later calls count twice")
        for claim in ("rate.per-sample", "rate.per-channel")
    ),
    Row(
        "mask.distinct-samples", "mask.distinct-channels", _one_row, _dtype, "copied channels repeat parts of their row"
    ),
    *(
        Row(claim, basis, _by_chance, _few_coins, "calls of one decision are equal, or all drop, by chance")
        for basis in ("mask.distinct-samples", "mask.distinct-channels")
        for claim in ("seed.reproducible", "seed.reset", *of("layers in turn"))
    ),
    Row(
        "rate.marginal",
        "mask.distinct-samples",
        _odd_calls_of_one_channel,
        _few_coins,
        "a call of one channel whose samples share one decision drops all or nothing",
    ),
    *(
        Row(claim, "mask.distinct-channels", _short, _few_coins_here, "every channel counts as a separate decision")
        for claim in ("mask.independent-calls", "mask.independent-samples")
    ),
    *(
        Row(claim, "mode.toggle", _after_inference, _dtype, "training calls behind an inference call drop nothing")
        for claim in ("rate.marginal", "scale.kept-values")
    ),
    *(
        Row(claim, "seed.distinct", _cases, _cases, "masks that occur under several seeds count several times")
        for claim in ("seed.neighbours", "rate.marginal", "rate.per-shape")
    ),
)


def withheld(findings: Sequence[Finding], beside: Sequence[Finding] = ()) -> list[Finding]:
    """The findings, with those failures that follow from another one skipped and naming it.

    ``beside``: findings that nobody selected; they count as reasons and are not returned.
    """
    failing = [one for one in (*findings, *beside) if one.verdict == "fail"]
    places = {row: {word for one in failing if one.check == row.basis for word in row.where(one)} for row in FOLLOWS}
    found = []
    for one in findings:
        for row in FOLLOWS if one.verdict == "fail" else ():
            if one.check == row.claim and places[row].intersection(row.place(one)):
                text = f"{NOT_INTERPRETABLE} {row.basis} fails: {one.message}"
                one = msgspec.structs.replace(one, verdict="skipped", message=text, picture=None)
                break
        found.append(one)
    return found
