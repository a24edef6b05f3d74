"""Records of planted defects of rows that lose an exact number of channels, or one stretch."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form, promise

_PAPER = "arXiv:1904.08779"
_LAWS = {word: promise(f"n c l -> n {word}", scale="none") for word in ("c=2", "c=rate", "c/*")}


def _form(name: str, attr: str, law: str, check: str, summary: str, size: str, source: str) -> Defect:
    return numpy_form(name, f"rows:{attr}", check, summary, size, "everywhere", source, _LAWS[law])


_KORNIA = "kornia RandomChannelDropout"

DEFECTS: Tuple[Defect, ...] = (
    _form(
        "exact-with-replacement",
        "WithReplacement",
        "c=2",
        "mask.dropped-count",
        "two channels are drawn with replacement: some rows lose one",
        "an eighth of the rows that drop",
        _KORNIA,
    ),
    _form(
        "exact-never-last", "NeverLast", "c=2", "rate.per-channel", "the last channel never drops", "a channel", _KORNIA
    ),
    _form(
        "exact-neighbours",
        "Neighbours",
        "c=2",
        "mask.independent-channels",
        "the two channels are neighbours",
        "all pairs of channels",
        _KORNIA,
    ),
    _form(
        "exact-one-choice",
        "OneChoice",
        "c=2",
        "mask.independent-samples",
        "all samples of a call that drop lose the same channels",
        "all samples that drop",
        "kornia same_on_batch",
    ),
    _form(
        "exact-pairs-alike",
        "PairsAlike",
        "c=2",
        "mask.independent-samples",
        "samples 2 i and 2 i + 1 that drop lose the same channels",
        "all pairs of samples",
        "kornia same_on_batch",
    ),
    _form("exact-always", "Always", "c=2", "rate.marginal", "each row drops, at any rate", "90 points at .1", _KORNIA),
    _form(
        "share-by-coins",
        "ShareByCoins",
        "c=rate",
        "mask.dropped-count",
        "channels drop independently where exactly a share is declared",
        "the number of dropped channels",
        "randperm dropout",
    ),
    _form(
        "stretch-short",
        "ShortStretches",
        "c/*",
        "mask.dropped-count",
        "lengths are the lesser of two draws",
        "all lengths",
        _PAPER,
    ),
    _form(
        "stretch-too-long",
        "TooLong",
        "c/*",
        "mask.dropped-count",
        "one channel more than the largest",
        "1 length",
        _PAPER,
    ),
    _form(
        "stretch-never-last",
        "StretchNeverLast",
        "c/*",
        "rate.per-channel",
        "no stretch ends at the last channel",
        "one place",
        "mlcommons/training#492",
    ),
    _form(
        "stretch-wraps-round",
        "WrapsRound",
        "c/*",
        "mask.whole-channels",
        "a stretch goes on at the first channel",
        "stretches at the end",
        _PAPER,
    ),
    _form(
        "stretch-one-a-batch",
        "OneStretchABatch",
        "c/*",
        "mask.independent-samples",
        "one stretch for all samples of a call",
        "all samples",
        "torchaudio iid_masks=False",
    ),
)
