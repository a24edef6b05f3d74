"""Transformer layers of PyTorch: each of their dropouts by itself.

The real layer runs as it is, in training on its slow path. What stands before the looked-at dropout (an attention, a linear
map) hands in the instrument's constant, what stands before the others hands in 0; norms hand on what they get.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import torch
from torch import nn

from spatial_dropouts.instruments.torch_attention import set_identity

# site: (what is replaced by the constant, what reads the masked constant; empty: the layer's own output)
_PLACES: Dict[str, Dict[str, Tuple[str, str]]] = {
    "TransformerEncoderLayer": {
        "dropout1": ("self_attn", ""),
        "dropout": ("linear1", "linear2"),
        "dropout2": ("linear2", ""),
    },
    "TransformerDecoderLayer": {
        "dropout1": ("self_attn", ""),
        "dropout2": ("multihead_attn", ""),
        "dropout": ("linear1", "linear2"),
        "dropout3": ("linear2", ""),
    },
}
_ATTENTIONS = ("self_attn", "multihead_attn")


class _Stand(nn.Module):
    """In the place of a part: keeps what it is given, and hands on a constant, or 0 in the shape of its first input."""

    batch_first = False  # an encoder layer asks its attention for it, and takes no fast path

    def __init__(self, attention: bool) -> None:
        super().__init__()
        self.attention = attention
        self.given: List[Any] = []
        self.gives: List[Any] = []

    def forward(self, first: Any, *rest: Any, **more: Any) -> Any:
        self.given[:] = [first]
        value = self.gives[0] if self.gives else torch.zeros_like(first)
        return (value, None) if self.attention else value


class _Layer(nn.Module):
    def __init__(self, p: float, kind: str) -> None:
        super().__init__()
        self.p, self.kind = p, kind
        self.built: Any = None
        self.make(4, 1, p)  # it refuses what the real layer refuses

    def make(self, width: int, heads: int, p: float) -> Any:
        """The real layer; its first weights are drawn, and thrown away."""
        with torch.random.fork_rng(devices=[]):
            layer = getattr(nn, self.kind)(width, heads, dim_feedforward=width, dropout=p, norm_first=True)
        for name, part in list(layer.named_children()):
            if name.startswith("norm"):
                setattr(layer, name, nn.Identity())
            elif isinstance(part, (nn.Linear, nn.MultiheadAttention)):
                setattr(layer, name, _Stand(name in _ATTENTIONS))
        return layer

    def called(self, rows: Any) -> Any:
        """One call of the real layer on rows (l, n, width); a decoder has them as its memory, too."""
        layer = self.held[0].train(self.training)
        return layer(rows, rows) if self.kind == "TransformerDecoderLayer" else layer(rows)

    def forget(self) -> None:
        """Let go of what the last call was given."""
        for part in self.held[0].children():
            if isinstance(part, _Stand):
                part.gives.clear()
                part.given.clear()

    def forward(self, x: Any) -> Any:
        return x * self.read(self.run(self.carrier(x.detach())), x)

    def carrier(self, x: Any) -> Any:
        """What is handed in."""
        raise NotImplementedError

    def run(self, carrier: Any) -> Any:
        """The real layer."""
        raise NotImplementedError

    def read(self, output: Any, x: Any) -> Any:
        """Mask times scale."""
        raise NotImplementedError


class Dropout(_Layer):
    """A dropout behind an attention or a linear map; axes position, sample, feature."""

    def __init__(self, p: float, kind: str, site: str) -> None:
        super().__init__(p, kind)
        self.site = site

    def carrier(self, x: Any) -> Any:
        key = (x.shape[-1], self.p)
        if self.built != key:
            self.held, self.built = [self.make(x.shape[-1], 1, self.p)], key  # in a list: no state of the instrument
        return torch.ones_like(x)

    def run(self, carrier: Any) -> Any:
        layer = self.held[0]
        source, reader = _PLACES[self.kind][self.site]
        getattr(layer, source).gives[:] = [carrier]
        try:
            output = self.called(torch.zeros_like(carrier))
            return getattr(layer, reader).given[0] if reader else output
        finally:
            self.forget()

    def read(self, output: Any, x: Any) -> Any:
        return output

    def cotangent(self, output: Any, x: Any) -> Any:
        """One for every element."""
        return torch.ones_like(output)

    def read_back(self, gradient: Any, x: Any) -> Any:
        """The gradient of the constant."""
        return gradient


class Weights(_Layer):
    """The weights of an attention inside; axes n, h, q, k with as many queries as keys (see torch_attention)."""

    def __init__(self, p: float, kind: str, attention: str) -> None:
        super().__init__(p, kind)
        self.attention = attention

    def carrier(self, x: Any) -> Any:
        n, h, _, k = x.shape
        key = (h, k, x.dtype, x.device, self.p)
        if self.built != key:
            layer = self.make(h * k, h, self.p)
            with torch.random.fork_rng(devices=[]):
                whole = getattr(nn, self.kind)(h * k, h, dim_feedforward=1, dropout=self.p, dtype=x.dtype)
            real = getattr(whole, self.attention)
            set_identity(real)
            setattr(layer, self.attention, real.to(x.device))
            self.held, self.built = [layer], key
        return torch.eye(k, dtype=x.dtype, device=x.device).repeat(1, h)[:, None].repeat(1, n, 1)

    def run(self, carrier: Any) -> Any:
        real, seen = getattr(self.held[0], self.attention), []
        hook = real.register_forward_hook(lambda module, given, output: seen.append(output[0]))
        try:
            self.called(carrier)
        finally:
            hook.remove()
            self.forget()
        return seen[0]

    def read(self, output: Any, x: Any) -> Any:
        n, h, q, k = x.shape
        return output.reshape(q, n, h, k).permute(1, 2, 0, 3) * k

    def cotangent(self, output: Any, x: Any) -> Any:
        """Unit gradients: element (q, j) of each head is 1 where q is j."""
        _, h, _, k = x.shape
        return torch.eye(k, dtype=x.dtype, device=x.device).repeat(1, h)[:, None].expand_as(output).contiguous()

    def read_back(self, gradient: Any, x: Any) -> Any:
        """The gradient of the values (k, n, h * q), transposed."""
        n, h, q, k = x.shape
        return gradient.reshape(k, n, h, q).permute(1, 2, 3, 0) * k
