"""Records of the planted defects of ties that no common distance shows."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

# one row: name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "far-antithetic",
        "anywhere:FarAntithetic",
        "mask.independent-samples",
        "samples i and N - 1 - i are drawn from u and 1 - u, five channels apart",
        "all coins, at rates other than one half",
        "several samples",
        "variance reduction by antithetic pairs",
    ),
    numpy_form(
        "negative-index",
        "anywhere:NegativeIndex",
        "mask.independent-samples",
        "a sample depends on the one as far from the end of the batch, channels in reverse order",
        "correlation .4",
        "several samples",
        "an index that counts from the end",
    ),
    numpy_form(
        "square-transposed",
        "anywhere:SquareTransposed",
        "mask.distinct-calls",
        "a square mask comes again transposed",
        "every second call",
        "as many samples as channels",
        "axes guessed from equal lengths",
    ),
    numpy_form(
        "square-symmetric",
        "anywhere:SquareSymmetric",
        "mask.distinct-samples",
        "a square mask is its own transpose",
        "half of the coins",
        "as many samples as channels",
        "axes guessed from equal lengths",
    ),
    numpy_form(
        "xor-of-channels",
        "anywhere:XorOfChannels",
        "mask.patterns",
        "one channel is the exclusive or of two others at no common distance",
        "one channel, at rate one half",
        "rate .5",
        "bits that are combined instead of drawn",
    ),
    numpy_form(
        "xor-of-samples",
        "anywhere:XorOfSamples",
        "mask.independent-samples",
        "one sample is the exclusive or of all others of its call",
        "one sample, at rate one half",
        "rate .5",
        "bits that are combined instead of drawn",
    ),
    numpy_form(
        "shift-register",
        "anywhere:ShiftRegister",
        "mask.patterns",
        "coins are the bits of a linear shift register",
        "61 places, at rate one half",
        "rate .5",
        "generators of one recurrence",
    ),
    numpy_form(
        "first-copies-last",
        "anywhere:FirstCopiesLast",
        "mask.independent-samples",
        "the first channel of a sample copies the last one of the sample before",
        "one channel",
        "everywhere",
        "a border that is read twice",
    ),
)
