"""Records of the planted defects whose check compares with a control."""

from __future__ import annotations

from typing import Tuple

from dropcheck.contract.promise import Contract, Pattern
from spatial_dropouts.broken.records.record import Defect, torch_form

_ELEMENTS = Contract(pattern=Pattern.parse("n c l -> n c l"))
_PROMISED = Contract(pattern=Pattern.parse("n c l -> n c l"), promises=("nonfinite",))


# one row: name, class, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    torch_form(
        "elements-from-output",
        "controls_torch:ElementsFromOutput",
        "gradient.mask",
        "a coin an element, its mask inferred from output != 0",
        "every kept 0",
        "inputs that are 0",
        "TF-ROCm#1008, candle#82",
        _ELEMENTS,
    ),
    torch_form(
        "elements-leak",
        "controls_torch:ElementsLeak",
        "form.nonfinite",
        "a coin an element, multiplied, though it promises not to leak",
        "one NaN",
        "Inf and NaN in dropped elements",
        "pytorch#59421",
        _PROMISED,
    ),
    torch_form(
        "small-become-zero",
        "controls_torch:SmallBecomeZero",
        "scale.kept-values",
        "kept values below 10^-3 become 0, and so does their gradient",
        "values below 10^-3",
        "small values",
        "thresholds",
    ),
    torch_form(
        "no-bfloat16",
        "controls_torch:NoBFloat16",
        "form.shape-dtype",
        "bfloat16 is refused",
        "the dtype",
        "bfloat16",
        "pytorch#12431, apex#72",
    ),
    torch_form(
        "removes-channels",
        "controls_torch:RemovesChannels",
        "form.shape-dtype",
        "dropped channels are taken out of the tensor",
        "every call",
        "everywhere",
        "patch dropout of vit-pytorch",
    ),
    torch_form(
        "scaled-by-rate",
        "controls_torch:ScaledByRate",
        "scale.kept-values",
        "divided by the rate, forwards and backwards",
        "factor 1 / rate",
        "everywhere",
        "theanets#123",
    ),
)
