"""Checks that fail beside the one that a planted defect names, because the layer breaks their claims, too: with the reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, Iterable, Mapping, Tuple

from spatial_dropouts.broken.record import Defect

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
    "pairs, counts and groups of channels are three claims, and one dependence breaks all of them": {
        name: _OF_ONE_DEPENDENCE
        for name in (
            "clumped",
            "exactly-k",
            "stratified",
            "systematic",
            "lanes-lean",
            "neighbour-leans",
            "parity-of-three",
            "parity-of-eight",
        )
    },
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
