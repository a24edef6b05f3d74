"""Records of the planted defects of streams: what the seed does not reach, and what neighbouring streams share."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form

# one row: name, place, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "module-stream",
        "streams:ModuleStream",
        "seed.reproducible",
        "a generator of the module with a fixed seed",
        "every mask",
        "everywhere",
        "pytorch#84516",
    ),
    numpy_form(
        "legacy-stream",
        "streams:LegacyStream",
        "seed.reproducible",
        "a global stream that is seeded once",
        "every mask",
        "everywhere",
        "cs249r_book#1869",
    ),
    numpy_form(
        "first-call-seeded",
        "streams:FirstCallSeeded",
        "seed.reproducible",
        "the seed reaches the first call only",
        "the second call",
        "after the first call",
        "mxnet#15662",
    ),
    numpy_form(
        "halves-unseeded",
        "streams:HalvesUnseeded",
        "seed.reproducible",
        "the seed does not reach float16",
        "one dtype",
        "float16",
        "pytorch#84516",
    ),
    numpy_form(
        "small-inputs-unseeded",
        "streams:SmallInputsUnseeded",
        "seed.reproducible",
        "the seed does not reach small inputs",
        "fewer than 1000 coins",
        "small inputs",
        "pytorch#84516",
    ),
    numpy_form(
        "chunk-per-call",
        "streams:ChunkPerCall",
        "mask.distinct-calls",
        "chunks seeded by call + chunk",
        "a quarter of a call",
        "every call",
        "tt-metal#16823, ngraph#3006",
    ),
    numpy_form(
        "frozen-elements",
        "streams:FrozenElements",
        "mask.distinct-calls",
        "one mask of single elements for ever",
        "every call",
        "everywhere",
        "tensorflow#7927",
    ),
    numpy_form(
        "lean-calls-with-a-copy",
        "streams:LeanCallsWithACopy",
        "mask.independent-calls",
        "calls lean on each other, and two channels are copies",
        "correlation .2",
        "calls of one shape",
        "tensorflow#7927",
    ),
    numpy_form(
        "overlapping-blocks",
        "streams:OverlappingBlocks",
        "mask.independent-channels",
        "blocks of seven that overlap",
        "every block",
        "everywhere",
        "miguelvr/dropblock#19",
    ),
    numpy_form(
        "seeds-turned",
        "streams:SeedsTurned",
        "seed.neighbours",
        "neighbouring seeds agree or disagree wholly, place by place",
        "every place, both signs",
        "seeds 2 k and 2 k + 1",
        "onnxruntime, its RandomGenerator",
    ),
    numpy_form(
        "skips-a-call",
        "streams:SkipsACall",
        "rate.marginal",
        "one call in 200 drops nothing",
        "one call",
        "every 200th call",
        "pytorch#11999",
    ),
    numpy_form(
        "warms-up",
        "streams:WarmsUp",
        "rate.marginal",
        "the first calls drop less",
        "sixteen calls",
        "first calls",
        "pytorch#11999",
    ),
)
