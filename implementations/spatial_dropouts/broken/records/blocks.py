"""Records of planted defects of overlapping blocks."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form, promise

_BLOCKS = promise("n c h w -> n c h/3 w/3", scale="realised")


def _form(name: str, attr: str, check: str, summary: str, size: str, source: str) -> Defect:
    return numpy_form(name, f"blocks:{attr}", check, summary, size, "everywhere", source, _BLOCKS)


DEFECTS: Tuple[Defect, ...] = (
    _form("blocks-flat", "Flat", "mask.whole-channels", "blocks of 1 x 9, not 3 x 3", "every block", "timm DropBlock"),
    _form(
        "blocks-rate-of-seeds",
        "RateOfSeeds",
        "rate.marginal",
        "every position is a seed with the rate itself",
        "51 points at rate .1",
        "miguelvr/dropblock#19",
    ),
    _form(
        "blocks-plain-area",
        "PlainArea",
        "rate.marginal",
        "seeds leave out the sizes of the image",
        "4 points at rate .1",
        "arXiv:1810.12890, equation 1",
    ),
    _form(
        "blocks-shared",
        "SharedByChannels",
        "mask.distinct-channels",
        "one mask for all channels",
        "all channels",
        "timm DropBlock2d, couple_channels",
    ),
    _form(
        "blocks-factor-of-rate",
        "FactorOfRate",
        "scale.kept-values",
        "scales by 1 / (1 - rate)",
        "all kept values",
        "neural-fortran PR 194",
    ),
    _form("blocks-unscaled", "Unscaled", "scale.kept-values", "does not scale", "all kept values", "timm DropBlock"),
    _form("blocks-infer", "Infers", "mode.inference", "drops in inference", "every call", "pytorch#124464"),
    _form(
        "blocks-larger",
        "LargerBlocks",
        "mask.independent-samples",
        "blocks of 5 x 5, not 3 x 3",
        "neighbouring blocks",
        "arXiv:1810.12890",
    ),
    _form(
        "blocks-one-mask-a-batch",
        "OneMaskABatch",
        "mask.distinct-samples",
        "one mask for all samples of a call",
        "all samples",
        "timm DropBlock2d, batchwise",
    ),
)
