"""Records of the planted defects whose rate follows the number of calls."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

_SOURCE = "schedules of the rate (miguelvr/dropblock)"

# one row: name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "creeping-rate",
        "schedules:CreepingRate",
        "rate.marginal",
        "the rate grows with every call",
        "twice the rate after 4000 calls",
        "many calls of one layer",
        _SOURCE,
    ),
    numpy_form(
        "falling-rate",
        "schedules:FallingRate",
        "rate.marginal",
        "the rate falls with every call",
        "half of the rate after 3000 calls",
        "many calls of one layer",
        _SOURCE,
    ),
    numpy_form(
        "step-shared-with-inference",
        "schedules:SharedStep",
        "rate.marginal",
        "a warm-up counts training and inference calls",
        "400 calls",
        "first calls",
        _SOURCE,
    ),
)
