"""Checks that fail beside the one that a planted defect names, because the layer breaks their claims, too: with the reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, Iterable, Mapping, Tuple

from spatial_dropouts.broken.records.record import Defect

_NARROW = ("rate.marginal", "rate.per-shape")
_OF_ONE_DEPENDENCE = ("mask.independent-channels", "mask.dropped-count", "mask.patterns")

# reason -> defect -> checks
REASONS: Mapping[str, Mapping[str, Tuple[str, ...]]] = {
    "where a call has few coins but those with a rate of their own, the rate of the case is wrong": {
        "first-channel-less": _NARROW,
        "odd-channels-less": _NARROW,
        "tail-lanes-kept": _NARROW,
        "first-sample-kept": _NARROW,
        "large-batch-tail-kept": _NARROW,
        "last-sample-more": _NARROW,
    },
    "a shape with a rate of its own has not the rate that was asked for": {
        "batch-of-one-less": ("rate.marginal",),
        "numel-tail-less": ("rate.marginal",),
        "wide-inputs-more": ("rate.marginal",),
    },
    "what a call leaves behind outlives reseeding, so that a seed does not bring its masks back": {
        name: ("seed.reset",)
        for name in (
            "after-inference-tears",
            "calls-lean",
            "creeping-rate",
            "falling-rate",
            "frozen-elements",
            "lean-calls-with-a-copy",
            "counters-overlap",
            "cycles-after-sixteen",
            "frozen-mask",
            "graph-replays",
            "redrawn-when-input-changes",
            "step-shared-with-inference",
            "second-call-repeats",
            "second-call-unscaled",
            "stuck-off",
        )
    },
    "masks that are kept go into a copy, and outlive a new rate": {
        "cycles-after-sixteen": ("form.copies", "rate.set-later")
    },
    "a row of one channel keeps it, and nothing is scaled": {
        "removes-channels": ("rate.marginal", "scale.kept-values")
    },
    "after eval() the calls of two threads have the mask that is kept": {"frozen-by-eval": ("mode.threads",)},
    "what depends on coins some places before depends on samples and calls, too": {
        "shift-register": ("mask.independent-samples", "mask.independent-calls")
    },
    "no seed reaches the coins": {
        # each layer and each copy begins the one stream anew
        "always-seed-zero": ("seed.reset", "seed.instances", "form.copies"),
        "seed-from-address": ("seed.reset", "seed.distinct", "seed.neighbours"),
        "seed-from-buffer-address": ("seed.reproducible", "seed.reset", "mode.inference"),
    },
    "an inference call changes the coins of the training call after it": {
        "after-inference-repeats": ("mode.inference",),
        "after-inference-tears": ("mode.inference",),
        "stuck-off": ("mode.inference",),
        "step-shared-with-inference": ("mode.inference",),
    },
    "cases of few and of many calls have rates of their own": {
        name: ("rate.per-shape",) for name in ("creeping-rate", "falling-rate", "step-shared-with-inference")
    },
    "where a case has too few calls to show their order, calls with rates of their own look tied": {
        "step-shared-with-inference": ("mask.dropped-count",)
    },
    "what a call keeps on the layer is what another thread finds there": {"torch-mask-by-shape": ("mode.threads",)},
    "the branch that inference saw first is the one that training takes": {"branch-by-shape": ("mode.toggle",)},
    "batches of that size come out wider in inference, too": {"large-batches-come-out-wider": ("mode.inference",)},
    "elements are frozen, each by itself": {"frozen-elements": ("mask.whole-channels",)},
    "two channels are copies of each other": {"lean-calls-with-a-copy": ("mask.distinct-channels",)},
    "blocks of channels fall together, and more of them than seeds of blocks": {
        "overlapping-blocks": ("mask.dropped-count", "mask.patterns", "rate.marginal")
    },
    "in the few rows of a large call, channels and samples that fall together are equal": {
        "overlapping-blocks": ("mask.distinct-channels", "mask.distinct-samples")
    },
    "the first calls drop next to nothing, also those after inference": {"warms-up": ("mode.toggle",)},
    "in a case of few coins, first calls that drop next to nothing show as clumps": {
        "warms-up": ("mask.independent-channels", "mask.dropped-count", "mask.patterns")
    },
    "coins that count calls, or blocks of a generator, are those of a copy with the same count": {
        "seeded-from-initial-seed": ("form.copies",),
        "blocks-of-the-generator": ("form.copies",),
    },
    "a call that is run again is another call": {"seeded-from-initial-seed": ("gradient.recompute",)},
    "a dropped value of each call's own is not always recognised as dropped": {
        "alpha-by-realised-share": ("mode.toggle",)
    },
    "what becomes 0 on the way has no gradient": {"small-become-zero": ("gradient.mask",)},
    "calls of a shape that is not the first drop nothing": {"width-stale": ("mode.toggle",)},
    "every second call is unscaled, and so is every second batch": {"second-call-unscaled": ("form.batch-change",)},
    "rows with a rate of their own make the dropped count vary, where too few calls tell the rows apart": {
        "last-sample-more": ("mask.dropped-count",)
    },
    "training leaves the scale to inference": {"scaled-at-inference": ("scale.kept-values",)},
    "the factor is wrong at rate 0, too": {"wrong-affine": ("rate.zero",)},
    "positions that share a block count several times": {
        "blocks-larger": ("mask.independent-channels", "mask.independent-calls", "mask.dropped-count", "mask.patterns")
    },
    "a recorded leaf cannot be overwritten, so that its first recorded call raises": {
        "writes-into-leaf": ("gradient.mask",)
    },
    "inference writes into its input": {"inference-aliases": ("form.input-untouched",)},
    "without a mask, the gradient is not 0 at rate 1": {"backward-no-mask": ("gradient.edges",)},
    "checkpointing restores the framework's generator, and the coins are from another": {
        "ignores-manual-seed": ("gradient.recompute",),
        "copy-takes-the-stream-along": ("gradient.recompute",),
    },
    "a frozen call decides all of its case's coins": {"first-batch-frozen": ("rate.marginal",)},
    "rows that a smaller batch leaves behind stand in a later call": {"smaller-batch-stale": ("mask.distinct-calls",)},
    "values of a probe stand at fixed places, so that coins that follow values have rates by place": {
        "prefers-negative": ("rate.marginal", "rate.per-channel", "rate.per-sample", "rate.per-shape")
    },
    "the scale is that of the rate that the coins have, not of the one that was asked for": {
        "rate-means-keep": ("scale.kept-values",)
    },
    "what goes wrong in one layout goes wrong in every counted call of it": {
        "ignores-strides": ("mask.whole-channels", "scale.kept-values"),
        "permutes-transposed": ("mask.whole-channels", "scale.kept-values"),
        "strided-tears-channels": ("form.strides",),
    },
    "Keras' seeds on PyTorch are added to a counter: a call of one seed is another call of the next": {
        name: ("seed.distinct", "seed.neighbours") for name in ("keras-any-rate", "keras-training-by-default")
    },
    "the same, for a layer that is given a seed": {"keras-seeded-unscaled": ("seed.distinct",)},
    "pairs, counts and groups of channels are three claims, and one dependence breaks all of them": {
        name: _OF_ONE_DEPENDENCE
        for name in (
            "clumped",
            "exactly-k",
            "stratified",
            "systematic",
            "lanes-lean",
            "quarters-share-bits",
            "neighbour-leans",
            "parity-of-three",
            "parity-of-eight",
        )
    },
    "a number of drops that is fixed leaves other patterns": {"powers-of-two-ration": ("mask.patterns",)},
    "places with rates of their own look tied where too few calls tell the places apart": {
        "checkerboard": ("mask.independent-samples", "mask.independent-calls", "mask.patterns")
    },
    "a jump back that is shorter than a call repeats coins of the same call": {
        "jumps-back": ("mask.distinct-samples",)
    },
    "rows of a large call with a rate of their own change the rate of the call": {
        "coins-above-2-18": ("rate.marginal",)
    },
    "masks are keyed by the values of a sample, and large inputs hold equal samples": {
        "key-from-sample": ("mask.distinct-samples",)
    },
    "the last part of a large call is neither scaled nor dropped": {"elements-above-2-22": ("rate.per-sample",)},
    "inverted at rate .5, and dependent at any other": {"antithetic-half": ("mask.independent-samples",)},
    "copies far apart in a large call, of which a short case has too few, are samples that depend on each other": {
        "batches-above-3000": ("mask.independent-samples",)
    },
    "positions that share a block make equal neighbours, in samples and in calls": {
        "blocks-shared": ("mask.independent-samples", "mask.independent-calls")
    },
    "a part of a call comes again as another part of the next call": {
        "chunk-per-call": ("mask.independent-samples", "mask.independent-calls")
    },
    "the calls after a recorded one have its mask, whatever is switched between them": {
        "gradient-freezes": ("mode.toggle",)
    },
    "a generator on the layer goes into a copy with all that it was about to give": {
        "ignores-manual-seed": ("form.copies",),
        "keeps-drawn-block": ("form.copies",),
    },
    "a key on the module is that of the last forward pass, also when an earlier one is run again": {
        "jax-key-held-on-the-module": ("gradient.recompute",)
    },
    "samples of one decision have two masks, so that equal ones meet in every call and under every seed": {
        "keras-sample-wise": ("mask.distinct-samples", "mask.distinct-calls", "seed.neighbours")
    },
    "a seed of its own in each call is the seed of every call, layer and process": {
        "keras-seed-in-call": ("seed.reproducible", "seed.reset", "seed.distinct")
    },
    "samples that are never dropped look tied where too few calls tell the samples apart": {
        "large-batch-tail-kept": ("mask.independent-samples", "mask.independent-calls")
    },
    "two seeds of a pair give one stream, also to two layers and to a copy": {
        "replicas-share": ("seed.instances", "form.copies")
    },
    "the second call has the mask of the first, also if the rate was set between them": {
        "second-call-repeats": ("rate.set-later",)
    },
    "a mask kept from a traced call is of no use outside of it": {"keras-frozen-noise": ("gradient.recompute",)},
    "what two calls ago left behind outlives reseeding": {"third-call-leans": ("seed.reset",)},
}


def told(defects: Iterable[Defect]) -> Tuple[Defect, ...]:
    """The defects, each with the checks that fail beside its own. Raises ValueError where a name is of no defect."""
    more: Dict[str, Tuple[str, ...]] = {}
    for found in REASONS.values():
        for name, checks in found.items():
            more[name] = (*more.get(name, ()), *checks)
    whole = tuple(defects)
    if unknown := set(more) - {d.name for d in whole}:
        raise ValueError(f"consequences are told of defects that do not exist: {', '.join(sorted(unknown))}")
    return tuple(
        replace(d, beside=tuple(dict.fromkeys(c for c in (*d.beside, *more.get(d.name, ())) if c != d.check)))
        for d in whole
    )
