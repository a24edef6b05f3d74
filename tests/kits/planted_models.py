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


class FunctionAlwaysAndInTraining(FunctionAlways):
    def inner(self, x: Any) -> Any:
        return F.dropout(super().inner(x), 0.3, self.training)


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


class Conv1D(nn.Module):
    """A linear layer that is called as a convolution, channels last (as in transformers)."""

    def __init__(self, out: int, given: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(given, out))

    def forward(self, x: Any) -> Any:
        return x @ self.weight


class LockedDropout(nn.Module):
    """Drops features along the last axis, for all time steps."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], 1, x.shape[2]) >= self.p) / (1 - self.p)


class Chain(nn.Module):
    """Layers one after another."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class ConvNet(nn.Module):
    """A name that half of all tutorials use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop, self.out = nn.Conv2d(1, 8, 3), nn.Dropout2d(0.25), nn.Linear(8, 10)

    def forward(self, x: Any) -> Any:
        return self.out(self.drop(input=torch.relu(self.conv(x))).mean((2, 3)))


class EmbeddingNet(ConvNet):
    """Another one: it embeds pictures."""


class StochasticDepth(nn.Module):
    """As torchvision's: one decision for the batch, or one a row, as its mode says."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        rows = 1 if self.mode == "batch" else x.shape[0]
        return x * (torch.rand(rows, *[1] * (x.dim() - 1)) >= self.p) / (1 - self.p)


class ForgetsRows(StochasticDepth):
    """Says that it decides for each row, and decides once."""

    def forward(self, x: Any) -> Any:
        return x * (torch.rand(1) >= self.p) / (1 - self.p) if self.training else x


ForgetsRows.__name__ = "StochasticDepth"


class DropBlock2d(nn.Module):
    """Blocks that overlap; what is kept is multiplied by what was dropped."""

    def __init__(self, drop_prob: float, block_size: int) -> None:
        super().__init__()
        self.drop_prob, self.block_size = drop_prob, block_size

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        seeds = (torch.rand_like(x) < self.drop_prob / self.block_size**2).to(x.dtype)
        kept = 1 - F.max_pool2d(seeds, self.block_size, 1, self.block_size // 2)
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))


class WeightsAttention(nn.Module):
    """Attention without weights of its own: it drops inside, and its output is no multiple of its input."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Any) -> Any:
        return F.scaled_dot_product_attention(x, x, x, dropout_p=self.dropout if self.training else 0.0)


class Largest(nn.Module):
    """Keeps the half of the values that is largest: no dropout, though it holds a share."""

    keep = 0.5

    def forward(self, x: Any) -> Any:
        return torch.where(x.abs() >= x.abs().median(), x, 0)


class GaussianDropout(nn.Module):
    """Multiplies by normal numbers: nothing becomes 0."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        return x * (1 + 0.5 * torch.randn_like(x)) if self.training else x


class Two(nn.Module):
    """Two dropouts, of which subclasses make one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.first, self.b, self.second = nn.Linear(8, 32), nn.Dropout(0.3), nn.Linear(32, 32), nn.Dropout(0.3)

    def before(self) -> None:
        """What is done before each of them."""

    def forward(self, x: Any) -> Any:
        self.before()
        x = self.first(self.a(x))
        self.before()
        return self.second(self.b(x))


class TwoOfOneSeed(Two):
    """Seeds the generator before each of its layers, with a seed of this pass."""

    def forward(self, x: Any) -> Any:
        self.seed = int(torch.randint(1 << 30, ()))
        return super().forward(x)

    def before(self) -> None:
        if self.training:
            torch.manual_seed(self.seed)


class TwoOfOneMask(Two):
    """The second block takes the mask of the first."""

    def __init__(self) -> None:
        super().__init__()
        first = KeptMask(0.3)
        self.first, self.second = first, OtherMask(first)  # type: ignore[assignment]


class KeptMask(nn.Module):
    """A dropout that keeps its last mask."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        self.mask = torch.rand_like(x) >= self.p
        return x * self.mask / (1 - self.p)


class OtherMask(nn.Module):
    """A dropout with the mask of another."""

    def __init__(self, other: KeptMask) -> None:
        super().__init__()
        self.p, self.other = other.p, [other]

    def forward(self, x: Any) -> Any:
        return x * self.other[0].mask / (1 - self.p) if self.training else x


class SeededInForward(nn.Module):
    """A function that is seeded in each pass: its mask never changes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 32), nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        if self.training:
            torch.manual_seed(0)
        return self.b(F.dropout(self.a(x), 0.3, self.training))


class Variational(nn.Module):
    """One layer for two steps, with one mask for both, as in recurrent nets: no fault."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(0.3), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        state = torch.get_rng_state()
        one = self.drop(x)
        torch.set_rng_state(state)
        return self.out(one + self.drop(x))
