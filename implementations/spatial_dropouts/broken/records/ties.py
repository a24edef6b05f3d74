"""Records of the planted defects that average to nothing."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

# one row: name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "calls-turned",
        "ties:CallsTurned",
        "mask.independent-calls",
        "calls repeat the last one in some channels and turn it around in the others",
        "three in ten coins of every second call",
        "everywhere",
        "generators of one recurrence",
    ),
    numpy_form(
        "calls-turned-in-turn",
        "ties:CallsTurnedInTurn",
        "mask.independent-calls",
        "calls repeat the last one or turn it around, in turn",
        "three in ten coins of every second call",
        "everywhere",
        "generators of one recurrence",
    ),
    numpy_form(
        "samples-turned",
        "ties:SamplesTurned",
        "mask.independent-samples",
        "samples repeat the last one in some channels and turn it around in the others",
        "three in ten coins of every second sample",
        "everywhere",
        "generators of one recurrence",
    ),
    numpy_form(
        "checkerboard",
        "ties:Checkerboard",
        "rate.per-sample",
        "places with rates of their own that are even over samples and over channels",
        "seven per cent of the rate",
        "everywhere",
        "a pattern of thresholds",
    ),
)
