"""Records of the planted defects whose coins follow values with both signs."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "follows-by-row",
        "follows_places:FollowsByRow",
        "mask.ignores-values",
        "even samples drop more often where the input is positive, odd ones where it is negative",
        "5 points",
        "calls with values above 9",
        "masks derived from data",
    ),
    numpy_form(
        "follows-by-place",
        "follows_places:FollowsByPlace",
        "mask.ignores-values",
        "coins follow the sign of the input, or its opposite, like the fields of a checkerboard",
        "5 points",
        "calls with values above 9",
        "masks derived from data",
    ),
)
