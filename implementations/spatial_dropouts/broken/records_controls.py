"""Records of the planted defects whose check compares with a control."""

from __future__ import annotations

from typing import Optional, Tuple

from dropcheck.contract import Contract, Pattern
from spatial_dropouts.broken.record import Defect

_ELEMENTS = Contract(pattern=Pattern.parse("n c l -> n c l"))
_PROMISED = Contract(pattern=Pattern.parse("n c l -> n c l"), promises=("nonfinite",))


def _torch(
    name: str,
    attr: str,
    check: str,
    summary: str,
    size: str,
    regime: str,
    source: str,
    contract: Optional[Contract] = None,
) -> Defect:
    make = f"spatial_dropouts.broken.controls_torch:{attr}"
    return Defect(name, make, check, summary, size, regime, source, "torch", contract)


# one row: name, class, check, summary, smallest size, regime, source
DEFECTS: Tuple[Defect, ...] = (
    _torch(
        "elements-from-output",
        "ElementsFromOutput",
        "gradient.mask",
        "a coin an element, its mask inferred from output != 0",
        "every kept 0",
        "inputs that are 0",
        "TF-ROCm#1008, candle#82",
        _ELEMENTS,
    ),
    _torch(
        "elements-leak",
        "ElementsLeak",
        "form.nonfinite",
        "a coin an element, multiplied, though it promises not to leak",
        "one NaN",
        "Inf and NaN in dropped elements",
        "pytorch#59421",
        _PROMISED,
    ),
    _torch(
        "small-become-zero",
        "SmallBecomeZero",
        "scale.kept-values",
        "kept values below 10^-3 become 0, and so does their gradient",
        "values below 10^-3",
        "small values",
        "thresholds",
    ),
    _torch(
        "no-bfloat16",
        "NoBFloat16",
        "form.shape-dtype",
        "bfloat16 is refused",
        "the dtype",
        "bfloat16",
        "pytorch#12431, apex#72",
    ),
    _torch(
        "scaled-by-rate",
        "ScaledByRate",
        "scale.kept-values",
        "divided by the rate, forwards and backwards",
        "factor 1 / rate",
        "everywhere",
        "theanets#123",
    ),
)
