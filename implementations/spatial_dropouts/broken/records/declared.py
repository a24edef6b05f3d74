"""Records of the planted defects of layers that declare one coin a call."""

from __future__ import annotations

from typing import Tuple

from spatial_dropouts.broken.records.record import Defect, numpy_form, promise

_WHOLE = promise("n c l -> 1")

DEFECTS: Tuple[Defect, ...] = (
    numpy_form(
        "one-coin-split",
        "declared:SplitCoin",
        "mask.whole-channels",
        "every sample has a coin of its own",
        "every call",
        "one coin a call is declared",
        "drop path in a batch",
        _WHOLE,
    ),
    numpy_form(
        "one-coin-stays",
        "declared:StayingCoin",
        "mask.independent-calls",
        "each coin is used for two calls",
        "every second call",
        "one coin a call is declared",
        "masks cached between calls",
        _WHOLE,
    ),
)
