"""Contrastive and multi-view training call a layer twice before the backward pass. A layer that remembers only its
last mask mixes them up.

Covers: Two forward passes, then both backward passes.
"""

import torch


class _Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        n, c, _ = x.shape
        layer.keep = torch.rand(n, c, 1) >= layer.p  # the next call replaces it
        ctx.layer = layer
        return x * layer.keep / (1 - layer.p)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.layer.keep / (1 - ctx.layer.p), None


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return _Wrong.apply(x, self) if self.training else x


class _Right(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        n, c, _ = x.shape
        keep = torch.rand(n, c, 1) >= layer.p
        ctx.save_for_backward(keep)
        ctx.p = layer.p
        return x * keep / (1 - layer.p)

    @staticmethod
    def backward(ctx, grad):
        (keep,) = ctx.saved_tensors
        return grad * keep / (1 - ctx.p), None


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return _Right.apply(x, self) if self.training else x
