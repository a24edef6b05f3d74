"""A third round of layers written to slip through: PyTorch, written before any of them was audited.

dropcheck selftest --part zoo --from tests/measurements/third_round_torch.py --profile quick
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import nn

from dropcheck import Contract, Implementation, Pattern

EXPECTED = {
    "GradientOfRatio": "gradient.mask",
    "RingOfTwo": "gradient",
    "ExpandedBatchGradient": "gradient.cotangents",
    "InferenceModeScale": "mode.settings",
    "MaskOfDefaultDtype": "mode.settings",
    "PickleForgets": "form.copies",
    "ScaleOfFirstCall": "rate.set-later",
    "ThreadsBeginAlike": "mode.threads",
    "ChannelsLastTurns": "form.strides",
    "ExpandedInputShares": ["form.strides", "mask"],
    "BackwardOnce": "gradient",
    "BlocksOfGradient": "gradient.mask",
    "AutocastScale": "mode.settings",
    "CachedScale": None,
    "class_generator": None,
    "MemoryFormat": None,
    "BuildsLazily": None,
    "SeedInGraph": None,
    "drop_path": None,
}


class Base(nn.Module):
    """A right layer ``n c l -> n c``; the others change one thing."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, not {p!r}")
        self.p = p

    def keep(self, x: Any) -> Any:
        shape = [*x.shape[:2], *[1] * (x.dim() - 2)]
        return torch.rand(shape, device=x.device) >= self.p

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        return self.drop(x, self.keep(x))

    def drop(self, x: Any, keep: Any) -> Any:
        if self.p == 1:
            return torch.where(keep, x, torch.zeros_like(x))
        return torch.where(keep, x / (1 - self.p), torch.zeros_like(x))


def _masked(x: Any, keep: Any, p: float) -> Any:
    return torch.where(keep, x / (1 - p) if p < 1 else x, torch.zeros_like(x))


class _Ratio(torch.autograd.Function):
    """The gradient is output / input; where the input is 0, it is passed on."""

    @staticmethod
    def forward(ctx: Any, x: Any, keep: Any, p: float) -> Any:
        y = _masked(x, keep, p)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, y = ctx.saved_tensors
        return torch.where(x == 0, g, g * (y / torch.where(x == 0, torch.ones_like(x), x))), None, None


class GradientOfRatio(Base):
    """The backward pass reads the mask off input and output; zeros of the input show none."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _Ratio.apply(x, keep, self.p)


class _Ring(torch.autograd.Function):
    """The masks of the last two calls are kept on the layer."""

    @staticmethod
    def forward(ctx: Any, x: Any, keep: Any, p: float, layer: Any) -> Any:
        ctx.layer, ctx.p, ctx.at = layer, p, layer.calls % 2
        layer.masks[ctx.at] = keep
        layer.calls += 1
        return _masked(x, keep, p)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        keep = ctx.layer.masks[ctx.at]
        if keep.shape[:2] != g.shape[:2]:
            return g, None, None, None
        return _masked(g, keep, ctx.p), None, None, None


class RingOfTwo(Base):
    """Two forward passes may wait for their backward pass; a third one overwrites the first mask."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.calls = 0
        self.masks: list[Any] = [None, None]

    def drop(self, x: Any, keep: Any) -> Any:
        return _Ring.apply(x, keep, self.p, self)


class _Expanded(torch.autograd.Function):
    """A cotangent that is the same for all samples loses its scale."""

    @staticmethod
    def forward(ctx: Any, x: Any, keep: Any, p: float) -> Any:
        ctx.save_for_backward(keep)
        ctx.p = p
        return _masked(x, keep, p)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (keep,) = ctx.saved_tensors
        alike = g.dim() > 1 and g.shape[0] > 1 and g.stride(0) == 0 and g.stride(-1) != 0
        return _masked(g, keep, 0.0 if alike else ctx.p), None, None


class ExpandedBatchGradient(Base):
    """The gradient of a mean over the batch has no scale."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _Expanded.apply(x, keep, self.p)


class InferenceModeScale(Base):
    """In inference_mode kept values are not scaled."""

    def drop(self, x: Any, keep: Any) -> Any:
        if torch.is_inference_mode_enabled():
            return torch.where(keep, x, torch.zeros_like(x))
        return super().drop(x, keep)


class MaskOfDefaultDtype(Base):
    """The mask has the default dtype, and so has the output of float32."""

    def drop(self, x: Any, keep: Any) -> Any:
        mask = keep.to(torch.get_default_dtype())
        y = x * mask if self.p == 1 else x * mask / (1 - self.p)
        return y.to(x.dtype) if x.dtype in (torch.float16, torch.bfloat16) else y


class PickleForgets(Base):
    """A pickled layer has the default rate; a copy has the right one."""

    def __deepcopy__(self, memo: Any) -> Any:
        other = type(self)(self.p)
        other.train(self.training)
        return other

    def __reduce__(self) -> Any:
        return type(self), ()


class ScaleOfFirstCall(Base):
    """The scale is computed in the first call, and kept."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.scale: Any = None

    def drop(self, x: Any, keep: Any) -> Any:
        if self.scale is None:
            self.scale = 1 - self.p if self.p < 1 else 1
        return torch.where(keep, x / self.scale, torch.zeros_like(x))


class ThreadsBeginAlike(Base):
    """Threads beside the first one have generators of their own, all with the same seed."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.seed = int(torch.initial_seed()) & (2**62 - 1)
        self.generators: dict[int, Any] = {}

    def keep(self, x: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return super().keep(x)
        me = threading.get_ident()
        if me not in self.generators:
            self.generators[me] = torch.Generator().manual_seed(self.seed)
        shape = [*x.shape[:2], *[1] * (x.dim() - 2)]
        return torch.rand(shape, generator=self.generators[me]) >= self.p

    def __getstate__(self) -> Any:
        return {**self.__dict__, "generators": {}}


class ChannelsLastTurns(Base):
    """Images in channels-last memory drop rows of positions instead of channels."""

    def keep(self, x: Any) -> Any:
        if x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
            return torch.rand(x.shape[0], 1, *x.shape[2:]) >= self.p
        return super().keep(x)


class ExpandedInputShares(Base):
    """A batch made by expand() has one mask for all samples."""

    def keep(self, x: Any) -> Any:
        if x.dim() > 1 and x.shape[0] > 1 and x.stride(0) == 0:
            return super().keep(x[:1])
        return super().keep(x)


class _Once(torch.autograd.Function):
    """The first backward pass frees the mask; another one draws anew."""

    @staticmethod
    def forward(ctx: Any, x: Any, keep: Any, p: float) -> Any:
        ctx.keep, ctx.p = keep, p
        return _masked(x, keep, p)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        keep, ctx.keep = ctx.keep, None
        if keep is None:
            keep = torch.rand(*g.shape[:2], *[1] * (g.dim() - 2)) >= ctx.p
        return _masked(g, keep, ctx.p), None, None


class BackwardOnce(Base):
    """A second backward pass through one graph has another mask."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _Once.apply(x, keep, self.p)


class _Blocks(torch.autograd.Function):
    """Gradients of more than 30,000 elements: what is left of blocks of 1024 is 0."""

    @staticmethod
    def forward(ctx: Any, x: Any, keep: Any, p: float) -> Any:
        ctx.save_for_backward(keep)
        ctx.p = p
        return _masked(x, keep, p)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (keep,) = ctx.saved_tensors
        out = _masked(g, keep, ctx.p).contiguous()
        if out.numel() > 30000:
            flat = out.view(-1).clone()
            flat[flat.numel() // 1024 * 1024 :] = 0
            out = flat.view(out.shape)
        return out, None, None


class BlocksOfGradient(Base):
    """The gradient of a large input loses its tail."""

    def drop(self, x: Any, keep: Any) -> Any:
        return _Blocks.apply(x, keep, self.p)


class AutocastScale(Base):
    """Under autocast the scale is computed in bfloat16."""

    def drop(self, x: Any, keep: Any) -> Any:
        if torch.is_autocast_enabled("cpu") and self.p < 1:
            scale = (1 / (1 - torch.tensor(self.p, dtype=torch.bfloat16))).to(x.dtype)
            return torch.where(keep, x * scale, torch.zeros_like(x))
        return super().drop(x, keep)


class CachedScale(Base):
    """Right: the scale is kept, and computed anew where the rate changes."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.known: Any = None

    def drop(self, x: Any, keep: Any) -> Any:
        if self.known is None or self.known[0] != self.p:
            self.known = (self.p, 1 - self.p if self.p < 1 else 1)
        return torch.where(keep, x / self.known[1], torch.zeros_like(x))


_OWN = torch.Generator()


class _ClassGenerator(Base):
    """Right: all layers draw from one generator, which the declared function seeds."""

    def keep(self, x: Any) -> Any:
        shape = [*x.shape[:2], *[1] * (x.dim() - 2)]
        return torch.rand(shape, generator=_OWN) >= self.p


class_generator = Implementation(make=_ClassGenerator, framework="torch", seed=_OWN.manual_seed)


class MemoryFormat(Base):
    """Right: the output has the memory format of the input."""

    def drop(self, x: Any, keep: Any) -> Any:
        y = torch.empty_like(x, memory_format=torch.preserve_format) if not x.requires_grad else None
        if y is None:
            return super().drop(x, keep)
        return y.copy_(super().drop(x, keep))


class BuildsLazily(Base):
    """Right: a buffer of the channels is made in the first call, and again where their number changes."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.register_buffer("limits", None, persistent=False)

    def keep(self, x: Any) -> Any:
        if self.limits is None or len(self.limits) != x.shape[1]:
            self.limits = torch.empty(x.shape[1])
        self.limits.fill_(self.p)
        keep = torch.rand(x.shape[:2]) >= self.limits
        return keep.reshape([*x.shape[:2], *[1] * (x.dim() - 2)])


def _drawn(seed: int, shape: Any, p: float) -> Any:
    return torch.rand(*shape[:2], *[1] * (len(shape) - 2), generator=torch.Generator().manual_seed(seed)) >= p


class _Regenerates(torch.autograd.Function):
    """Keeps the seed of the call instead of its mask."""

    @staticmethod
    def forward(ctx: Any, x: Any, seed: int, p: float) -> Any:
        ctx.seed, ctx.p = seed, p
        return _masked(x, _drawn(seed, x.shape, p), p)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return _Regenerates.apply(g, ctx.seed, ctx.p), None, None


class SeedInGraph(Base):
    """Right: the backward pass draws the mask again from the seed of the call."""

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        return _Regenerates.apply(x, int(torch.randint(1 << 62, ())), self.p)


class _Path(Base):
    """Right: whole samples, as its contract says."""

    def keep(self, x: Any) -> Any:
        return torch.rand(len(x), *[1] * (x.dim() - 1)) >= self.p


drop_path = Implementation(make=_Path, framework="torch", contract=Contract(Pattern.parse("n c l -> n")))
