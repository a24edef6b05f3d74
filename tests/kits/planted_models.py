"""Models with a dropout that is planted in the wrong way, each beside a twin that is right."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    """Two linear layers around ``inner``."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(8, 16), nn.Dropout(0.3), nn.Linear(16, 4)

    def inner(self, x: Any) -> Any:
        return self.drop(x)

    def forward(self, x: Any) -> Any:
        return self.b(self.inner(torch.relu(self.a(x))))


class FunctionAlways(Block):
    def inner(self, x: Any) -> Any:
        return F.dropout(self.drop(x), 0.2)


class FunctionInTraining(Block):
    def inner(self, x: Any) -> Any:
        return F.dropout(self.drop(x), 0.2, self.training)


class MadeInForward(Block):
    def inner(self, x: Any) -> Any:
        return nn.Dropout(0.2)(self.drop(x))


class NeverCalled(Block):
    def inner(self, x: Any) -> Any:
        return x + torch.zeros(1)


class AttentionAlways(Block):
    """The attention's own module is never called, and its rate is used in inference, too."""

    def rate(self) -> float:
        return self.drop.p

    def inner(self, x: Any) -> Any:
        heads = x.reshape(-1, 2, 4, 2)
        return F.scaled_dot_product_attention(heads, heads, heads, dropout_p=self.rate()).reshape(x.shape)


class AttentionInTraining(AttentionAlways):
    def rate(self) -> float:
        return self.drop.p if self.training else 0.0


class DropPathAlways(nn.Module):
    """A drop path that forgets to ask whether it trains; it draws uniform numbers."""

    def forward(self, x: Any) -> Any:
        return x * (torch.rand(x.shape[0], 1) >= 0.1) / 0.9


class PathAlways(Block):
    def __init__(self) -> None:
        super().__init__()
        self.path = DropPathAlways()

    def inner(self, x: Any) -> Any:
        return self.drop(x) + self.path(x)


class Sampling(Block):
    """Draws normal numbers in inference, as a variational model does: no dropout."""

    def inner(self, x: Any) -> Any:
        return self.drop(x) + torch.randn_like(x)


class _Again(torch.autograd.Function):
    """A checkpoint that runs its block again without the random state of the first time."""

    @staticmethod
    def forward(ctx: Any, block: Any, x: Any) -> Any:
        ctx.block = block
        ctx.save_for_backward(x)
        with torch.no_grad():
            return block(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x = ctx.saved_tensors[0].detach().requires_grad_(True)
        with torch.enable_grad():
            y = ctx.block(x)
        return None, torch.autograd.grad(y, x, gradients[0])[0]


class OwnCheckpoint(Block):
    def inner(self, x: Any) -> Any:
        return _Again.apply(lambda given: self.drop(torch.tanh(given)), x)


class RealCheckpoint(Block):
    def inner(self, x: Any) -> Any:
        return checkpoint(lambda given: self.drop(torch.tanh(given)), x, use_reentrant=False)


class Unpreserved(Block):
    def inner(self, x: Any) -> Any:
        def run(given: Any) -> Any:
            return self.drop(torch.tanh(given))

        return checkpoint(run, x, use_reentrant=False, preserve_rng_state=False)


class Residual(Block):
    """The dropped tensor is used beside the layer, too: its gradient there is no gradient through the layer."""

    def inner(self, x: Any) -> Any:
        return x + self.drop(x)


class _Straight(torch.autograd.Function):
    """Drops in the forward pass, and lets every gradient through."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * (torch.rand_like(x) >= 0.3) / 0.7

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] / 0.7


class StraightDropout(nn.Module):
    p = 0.3

    def forward(self, x: Any) -> Any:
        return _Straight.apply(x) if self.training else x


class StraightThrough(Block):
    def __init__(self) -> None:
        super().__init__()
        self.drop = StraightDropout()  # type: ignore[assignment]


class Hidden(nn.Module):
    """An LSTM and attention that drop inside of themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, 8, 2, dropout=0.4, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)

    def forward(self, x: Any) -> Any:
        y = self.rnn(x[:, None].expand(-1, 5, -1))[0]
        return self.attention(y, y, y, need_weights=False)[0]
