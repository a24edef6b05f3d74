"""Stacks of recurrent layers of PyTorch: each gap between two of several layers, and packed sequences.

The layer before the gap keeps its first state, which the instrument gives it; the layer behind the gap hands on what it
gets. So the last state of the layer behind shows the dropout of this gap alone, whatever the other gaps drop.
"""

from __future__ import annotations

from typing import Any, Dict

import torch
from torch import nn

from dropcheck.contract.adapter import Unsupported
from spatial_dropouts.instruments.torch_recurrent import SURE, Between, gates


class Gap(Between):
    """The dropout behind layer ``gap`` (from 1) of ``layers`` layers; axes sample, feature; one step."""

    def __init__(self, p: float, kind: str, gap: int, layers: int = 3) -> None:
        super().__init__(p, kind)
        self.gap, self.layers = gap, layers

    def set(self, name: str, parameter: Any, hidden: int) -> None:
        """The weights of one parameter, which are 0 so far, by its name in PyTorch (``weight_ih_l0``)."""
        level = int(name.rpartition("_l")[2])
        if level != self.gap - 1:
            return super().set(name, parameter, hidden)
        keeps: Dict[str, Dict[str, float]] = {
            "RNN": {},
            "GRU": {"update": SURE},
            "LSTM": {"input": -SURE, "forget": SURE, "output": SURE},
        }
        if name.startswith("bias_ih"):
            for gate, value in keeps[self.kind].items():
                parameter[gates(self.kind, hidden)[gate]] = value
        if name.startswith("weight_hh") and self.kind == "RNN":
            parameter.copy_(torch.eye(hidden, dtype=parameter.dtype))

    def run(self, carrier: Any) -> Any:
        """The real layer: ``carrier`` (n, h) is the first state of the layer before the gap, the others' are 0."""
        layer = self.held[0].train(self.training)
        none = torch.zeros_like(carrier)
        first = torch.stack([carrier if level == self.gap - 1 else none for level in range(self.layers)])
        _, last = layer(none[None], (first, first) if self.kind == "LSTM" else first)
        return (last[0] if self.kind == "LSTM" else last)[self.gap]


class Packed(Between):
    """Two layers that are given a PackedSequence of two steps; axes packed element, feature. Padding has no coins.

    Raises Unsupported without a row, which pack_sequence and pack_padded_sequence refuse to pack.
    """

    def run(self, carrier: Any) -> Any:
        """The real layer: a third of the sequences' elements are in the second step."""
        rows = carrier.shape[0]
        if not rows:
            raise Unsupported("PyTorch packs no empty batch")
        first = rows - rows // 3
        sizes = [size for size in (first, rows - first) if size]
        packed = nn.utils.rnn.PackedSequence(carrier, torch.tensor(sizes, dtype=torch.int64))
        return self.held[0].train(self.training)(packed)[0].data
