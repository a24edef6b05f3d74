"""Implementations whose framework shares no environment with the others: each runs through its own interpreter.

``dropcheck audit NAME --python ENVIRONMENT/bin/python``, where that environment has NumPy and what ``install`` says.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern, patterns

_PADDLE = "setuptools paddlepaddle==3.3.1"


def _paddle(name: str, pattern: str, summary: str, ranks: Tuple[str, ...] = (), **options: Any) -> Implementation:
    return Implementation(
        make=f"paddle.nn:{name}",
        framework="paddle",
        contract=Contract(pattern=Pattern.parse(pattern), ranks=patterns(ranks)),
        options=options,
        requires=("paddle",),
        install=_PADDLE,
        apart=True,
        default=False,
        summary=summary,
    )


REGISTER: Dict[str, Implementation] = {
    "paddle.Dropout": _paddle("Dropout", "n c l -> n c l", "PaddlePaddle's Dropout"),
    "paddle.Dropout-axis": _paddle("Dropout", "n c l -> n c", "PaddlePaddle's Dropout with axis=[0, 1]", axis=[0, 1]),
    "paddle.Dropout2D": _paddle("Dropout2D", "n c h w -> n c", "PaddlePaddle's Dropout2D, channels first"),
    "paddle.Dropout2D-last": _paddle(
        "Dropout2D", "n h w c -> n c", "PaddlePaddle's Dropout2D with data_format='NHWC'", data_format="NHWC"
    ),
    "paddle.Dropout3D": _paddle("Dropout3D", "n c d h w -> n c", "PaddlePaddle's Dropout3D, channels first"),
}
