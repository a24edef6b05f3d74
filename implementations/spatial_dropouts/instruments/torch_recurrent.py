"""Recurrent layers of PyTorch: saturated gates and identity weights make two layers pass a small constant through.

tanh(w) rounds to w for a small power of two, gates are exactly 0 or 1 where their biases are large, so that the output is w
times mask times scale of the dropout between the layers.
"""

from __future__ import annotations

from typing import Any, Dict

import torch
from torch import nn

# so small that tanh(w / (1 - rate)) rounds to its argument at every rate that is asked; float16 has no smaller normal numbers
SMALL = {torch.float32: 2.0**-40, torch.float64: 2.0**-60, torch.float16: 2.0**-13, torch.bfloat16: 2.0**-40}
SURE = 1000.0  # a gate's bias: its sigmoid is exactly 0 or 1 in every dtype


def gates(kind: str, hidden: int) -> Dict[str, slice]:
    """Rows of the weights by gate, in PyTorch's documented order."""
    names = {
        "RNN": ("candidate",),
        "GRU": ("reset", "update", "candidate"),
        "LSTM": ("input", "forget", "candidate", "output"),
    }[kind]
    return {name: slice(i * hidden, (i + 1) * hidden) for i, name in enumerate(names)}


# the bias of each gate: the state is the candidate, whatever it was before
_HANDS_ON: Dict[str, Dict[str, float]] = {
    "RNN": {},
    "GRU": {"update": -SURE},
    "LSTM": {"input": SURE, "forget": -SURE, "output": SURE},
}


class Between(nn.Module):
    """Two layers of an RNN, GRU or LSTM of PyTorch, with dropout between them; axes time, sample, feature."""

    layers = 2

    def __init__(self, p: float, kind: str, bidirectional: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            getattr(nn, kind)(1, 1, 2, dropout=p)  # it refuses what the real layer refuses
        self.p, self.kind, self.bidirectional = p, kind, bidirectional
        self.built: Any = None

    def build(self, x: Any) -> None:
        """The real layer for the number of features of x, at the present rate."""
        key = (x.shape[-1], x.dtype, x.device, self.p)
        if self.built == key:
            return
        features = x.shape[-1]
        sides = 2 if self.bidirectional else 1
        hidden = -(-features // sides)
        extra = {"nonlinearity": "relu"} if self.kind == "RNN" else {}
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and thrown away
            made = getattr(nn, self.kind)(
                hidden * sides,
                hidden,
                self.layers,
                dropout=self.p,
                bidirectional=self.bidirectional,
                dtype=x.dtype,
                **extra,
            )
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                parameter.zero_()
                self.set(name, parameter, hidden)
        for parameter in made.parameters():
            parameter.requires_grad_(False)
        self.held, self.built = [made.to(x.device)], key  # in a list: its weights are no state of the instrument

    def set(self, name: str, parameter: Any, hidden: int) -> None:
        """The weights of one parameter, which are 0 so far, by its name in PyTorch (``weight_ih_l0``)."""
        rows = gates(self.kind, hidden)
        if name.startswith("weight_ih"):
            side = hidden if name.endswith("_reverse") else 0
            parameter[rows["candidate"], side : side + hidden] = torch.eye(hidden, dtype=parameter.dtype)
        elif name.startswith("bias_ih"):
            for gate, value in _HANDS_ON[self.kind].items():
                parameter[rows[gate]] = value

    def carrier(self, x: Any) -> Any:
        """The constant w in the shape of x, features filled up to a whole number a direction."""
        self.build(x)
        wide = self.held[0].input_size
        return torch.full((*x.shape[:-1], wide), SMALL[x.dtype], dtype=x.dtype, device=x.device)

    def run(self, carrier: Any) -> Any:
        """The real layer."""
        return self.held[0].train(self.training)(carrier)[0]

    def read(self, output: Any, x: Any) -> Any:
        """Mask times scale."""
        return output[..., : x.shape[-1]] / SMALL[x.dtype]

    def cotangent(self, output: Any, x: Any) -> Any:
        """One for every element: each output depends on one input."""
        return torch.ones_like(output)

    def read_back(self, gradient: Any, x: Any) -> Any:
        """The gradient of the carrier: its elements were passed through one by one."""
        return gradient[..., : x.shape[-1]]

    def forward(self, x: Any) -> Any:
        return x * self.read(self.run(self.carrier(x.detach())), x)
