"""Records of the planted defects of alpha dropout."""

from __future__ import annotations

from typing import Tuple

from dropcheck.contract.promise import Contract
from spatial_dropouts.broken.records.record import Defect

_NUMPY = Contract.alpha("n c l -> n c", seeds=("generator",))
_TORCH = Contract.alpha("n c l -> n c")


def _np(name: str, attr: str, check: str, summary: str, size: str, source: str, regime: str = "everywhere") -> Defect:
    place = f"spatial_dropouts.broken.alpha:{attr}"
    return Defect(name, place, check, summary, size, regime, source, "numpy", _NUMPY)


def _pt(name: str, attr: str, check: str, summary: str, size: str, source: str) -> Defect:
    place = f"spatial_dropouts.broken.alpha_torch:{attr}"
    return Defect(name, place, check, summary, size, "gradient", source, "torch", _TORCH)


_PAPER = "arXiv:1706.02515, section 3"

DEFECTS: Tuple[Defect, ...] = (
    _np("alpha-offset-omitted", "OffsetOmitted", "scale.kept-values", "b left out", "b = .16 at rate .1", _PAPER),
    _np(
        "alpha-without-root",
        "WithoutRoot",
        "scale.kept-values",
        "a without its square root",
        "factor .85 instead of .92 at rate .1",
        "ivy#23025",
    ),
    _np(
        "alpha-of-elu",
        "AlphaOfElu",
        "scale.kept-values",
        "dropped units saturate at -1, as ELU's do",
        "alpha' of 1 instead of 1.758",
        "ivy#23025",
    ),
    _np(
        "alpha-scale-forgotten",
        "ScaleForgotten",
        "scale.kept-values",
        "dropped units become -alpha of SELU, without its scale",
        "alpha' 5 per cent off",
        "ivy#23025",
    ),
    _np(
        "alpha-drops-to-zero",
        "DropsToZero",
        "scale.kept-values",
        "0 instead of alpha' before the affine step",
        "1.758 a",
        _PAPER,
    ),
    _np(
        "alpha-by-realised-share",
        "ByRealisedShare",
        "scale.kept-values",
        "a and b from the share really dropped",
        "the batch's deviation from its rate",
        "neural-fortran PR 194",
    ),
    _np(
        "alpha-kept-untouched",
        "AffineOfDroppedOnly",
        "scale.kept-values",
        "the affine step for dropped elements only",
        "factor 1 instead of .92 at rate .1",
        _PAPER,
    ),
    _np(
        "alpha-torn",
        "TornAlpha",
        "mask.whole-channels",
        "a coin an element in feature alpha dropout",
        "every channel",
        "pytorch#82784",
    ),
    _np("alpha-swapped", "SwappedAlpha", "rate.marginal", "rate and keep swapped", "1 - 2 rate", "mlpack"),
    _np(
        "alpha-undefined-at-one",
        "UndefinedAtOne",
        "rate.one",
        "0 times an infinite a at rate 1",
        "every element",
        "pytorch#1833",
        "rate 1",
    ),
    _pt(
        "alpha-gradient-of-plain",
        "GradientOfPlainDropout",
        "gradient.scale",
        "1 / (1 - rate) instead of a in the backward pass",
        "factor 1.11 instead of .92 at rate .1",
        "numpy-ml#94",
    ),
    _pt(
        "alpha-gradient-through-dropped",
        "GradientThroughDropped",
        "gradient.mask",
        "dropped elements get a gradient",
        "every dropped element",
        "trident#89",
    ),
)
