"""Instruments: real layers whose dropout is hidden inside, with inputs and weights that make every drop decision visible.

An instrument shows the mask of a site as an ordinary layer ``x * mask * scale`` does, whose axes the pattern names. Forward
and backward passes are those of the real layer; what the instrument multiplies by x is 0 or the layer's own kept value.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from dropcheck.contract.adapter import Implementation
from dropcheck.contract.promise import Contract, Pattern

_HERE = "spatial_dropouts.instruments"


def _torch(place: str, pattern: str, summary: str, **options: Any) -> Implementation:
    return Implementation(
        make=f"{_HERE}.{place}",
        adapter=f"{_HERE}.torch_adapter:TorchInstrument",
        framework="torch",
        contract=Contract(pattern=Pattern.parse(pattern)),
        options=options,
        requires=("torch",),
        default=False,
        summary=summary,
    )


def _recurrent(kind: str, **options: Any) -> Implementation:
    words = ", bidirectional" if options.get("bidirectional") else ""
    return _torch(
        "torch_recurrent:Between",
        "t=2 n h=64 -> t n h",
        f"PyTorch's {kind}{words}: dropout between two layers",
        kind=kind,
        **options,
    )


_WEIGHTS: Tuple[str, str] = ("n h=4 q k=64 -> n h q k", "n h=4 q k=16 -> n h q k")

REGISTER: Dict[str, Implementation] = {
    "torch.sdpa#weights": _torch(
        "torch_attention:Sdpa", _WEIGHTS[0], "PyTorch's scaled_dot_product_attention: dropout of attention weights"
    ),
    "torch.MultiheadAttention#weights": _torch(
        "torch_attention:Multihead", _WEIGHTS[1], "PyTorch's MultiheadAttention: dropout of attention weights"
    ),
    "torch.RNN#between": _recurrent("RNN"),
    "torch.GRU#between": _recurrent("GRU"),
    "torch.LSTM#between": _recurrent("LSTM"),
    "torch.LSTM#between-bidirectional": _recurrent("LSTM", bidirectional=True),
}
