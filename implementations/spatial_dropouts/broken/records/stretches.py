"""Records of the planted defects of the flat stream: coins that come again where no row begins."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

# one row: name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "block-in-call",
        "stretches:BlockInCall",
        "mask.distinct-samples",
        "a block of 2^16 coins is used again within a call",
        "calls of more than 2^16 coins, wide and narrow",
        "large calls",
        "generators with a short period",
    ),
    numpy_form(
        "jumps-back",
        "stretches:JumpsBack",
        "mask.distinct-calls",
        "the stream goes back by 300,007 coins after each 600,000",
        "a stretch of some thousand coins",
        "long streams",
        "seeds taken from a clock",
    ),
    numpy_form(
        "seeds-a-step-apart",
        "stretches:SeedsAStepApart",
        "seed.distinct",
        "seeds are offsets of 1009 coins in one stream",
        "streams of more than 1009 coins",
        "neighbouring seeds",
        "seeds added to an offset",
    ),
    numpy_form(
        "mirrored-half",
        "stretches:MirroredHalf",
        "mask.distinct-samples",
        "the second half of a batch has the masks of the first, channels in reverse order",
        "all samples",
        "everywhere",
        "home-made layers",
    ),
    numpy_form(
        "antithetic-half",
        "stretches:AntitheticHalf",
        "mask.distinct-samples",
        "the second half of a batch has the masks of the first, inverted at rate .5",
        "all samples, rate .5",
        "rate .5",
        "antithetic sampling",
    ),
)
