"""Records of the planted defects of coins that depend on coins a fixed distance away."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

# one row: name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "third-sample-leans",
        "distances:ThirdSampleLeans",
        "mask.independent-samples",
        "samples three apart depend on each other",
        "correlation .4",
        "everywhere",
        "nGraph#3006",
    ),
    numpy_form(
        "diagonal-leans",
        "distances:DiagonalLeans",
        "mask.independent-samples",
        "a sample depends on the one before, one channel to the left",
        "correlation .4",
        "everywhere",
        "nGraph#3006",
    ),
    numpy_form(
        "third-call-leans",
        "distances:ThirdCallLeans",
        "mask.independent-calls",
        "calls three apart depend on each other",
        "correlation .2",
        "many calls of one shape",
        "FlagGems#23",
    ),
)
