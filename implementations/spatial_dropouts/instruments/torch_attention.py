"""Attention of PyTorch: with equal scores and one-hot values the output is the mask of the attention weights.

Queries and keys are 0, so each of k weights is 1 / k; values are unit vectors, so element j of an output is weight j after
dropout. Exact where k is a power of two. A backward pass with unit gradients shows the weights that it uses, transposed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class _Weights(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def possible(self) -> bool:
        """Whether the rate is one; NaN is none."""
        return 0 <= self.p <= 1

    def carrier(self, x: Any) -> Any:
        """Values (n, h, k, w): unit vectors of width w, at least the number of queries, which a backward pass needs."""
        n, h, q, k = x.shape
        self.queries = q
        return torch.eye(k, max(k, q), dtype=x.dtype, device=x.device).expand(n, h, k, max(k, q)).contiguous()

    def run(self, values: Any) -> Any:
        """The real layer."""
        raise NotImplementedError

    def read(self, output: Any, x: Any) -> Any:
        """Mask times scale: the output (n, h, q, w) times the number of keys."""
        return output[..., : x.shape[-1]] * x.shape[-1]

    def cotangent(self, output: Any, x: Any) -> Any:
        """Unit gradients: element (q, j) is 1 where q is j."""
        return torch.eye(x.shape[2], output.shape[-1], dtype=x.dtype, device=x.device).expand_as(output).contiguous()

    def read_back(self, gradient: Any, x: Any) -> Any:
        """The gradient of the values (n, h, k, w), transposed, times the number of keys."""
        return gradient[..., : x.shape[2]].transpose(-1, -2) * x.shape[-1]

    def forward(self, x: Any) -> Any:
        return x * self.read(self.run(self.carrier(x.detach())), x)


class Sdpa(_Weights):
    """``torch.nn.functional.scaled_dot_product_attention`` with ``dropout_p``."""

    rounds = True

    def run(self, values: Any) -> Any:
        n, h, k, w = values.shape
        # what is no rate meets a kernel that raises for any dropout, or, where values are narrower, code that reads it
        size = w if self.possible else w + 1
        queries = values.new_zeros(n, h, self.queries, size)
        keys = values.new_zeros(n, h, k, size)
        return nn.functional.scaled_dot_product_attention(
            queries, keys, values, dropout_p=self.p if self.training else 0.0
        )


def set_identity(layer: Any) -> None:
    """Weights of queries and keys 0, of values and output the identity."""
    size = layer.embed_dim
    eye = torch.eye(size, dtype=layer.out_proj.weight.dtype)
    with torch.no_grad():
        layer.in_proj_weight.zero_()
        layer.in_proj_weight[2 * size :].copy_(eye)
        layer.in_proj_bias.zero_()
        layer.out_proj.weight.copy_(eye)
        layer.out_proj.bias.zero_()
    for parameter in layer.parameters():
        parameter.requires_grad_(False)


class Multihead(_Weights):
    """``torch.nn.MultiheadAttention``: weights of queries and keys are 0, those of values and output the identity."""

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.built: Any = None
        with torch.random.fork_rng(devices=[]):
            nn.MultiheadAttention(1, 1, dropout=p)  # it refuses what the real layer refuses

    def carrier(self, x: Any) -> Any:
        _, h, q, k = x.shape
        self.build(h, max(k, q), x)
        return super().carrier(x)

    def build(self, heads: int, width: int, x: Any) -> None:
        """The real layer for these sizes."""
        key = (heads, width, x.dtype, x.device, self.p)
        if self.built == key:
            return
        size = heads * width
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and thrown away
            layer = nn.MultiheadAttention(size, heads, dropout=self.p, batch_first=True, dtype=x.dtype)
        set_identity(layer)
        self.held, self.built = [layer.to(x.device)], key  # in a list: its weights are no state of the instrument

    def run(self, values: Any) -> Any:
        n, h, k, w = values.shape
        rows = values.transpose(1, 2).reshape(n, k, h * w)
        queries = values.new_zeros(n, self.queries, h * w)
        layer = self.held[0].train(self.training)
        # what is no rate is asked by the default call: the other one may use a kernel that raises for any dropout
        output, _ = layer(queries, rows, rows, need_weights=not self.possible)
        return output.reshape(n, self.queries, h, w).transpose(1, 2)

    def returned(self, x: Any) -> Any:
        """Weights that one call returns with ``need_weights``, and the mask times scale that its output shows, both as x."""
        n, h, q, k = x.shape
        values = self.carrier(x)
        width = values.shape[-1]
        rows = values.transpose(1, 2).reshape(n, k, h * width)
        layer = self.held[0].train(self.training)
        output, weights = layer(values.new_zeros(n, q, h * width), rows, rows, average_attn_weights=False)
        return weights * k, self.read(output.reshape(n, q, h, width).transpose(1, 2), x)
