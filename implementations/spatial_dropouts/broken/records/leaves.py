"""Records of planted defects whose recorded calls a framework refuses."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, torch_form

DEFECTS: Tuple[Defect, ...] = (
    torch_form(
        "writes-into-leaf",
        "leaves_torch:WritesIntoLeaf",
        "form.input-untouched",
        "multiplies its input in place",
        "every element",
        "training",
        "hanlp SharedDropout",
    ),
)
