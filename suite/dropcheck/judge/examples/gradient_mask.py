"""The backward pass must stop at what the forward pass dropped. Otherwise the gradient belongs to another network.

Covers: Training, also where the input is 0 or negative. In inference the gradient must pass unchanged; that part is
tested for PyTorch.
"""

import torch


class _Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, keep, rate):
        ctx.rate = rate
        y = x * keep / (1 - rate)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (y != 0) / (1 - ctx.rate), None, None  # kept zeros look dropped


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    return _Wrong.apply(x, torch.rand(n, c, 1) >= rate, rate)


class _Right(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, keep, rate):
        ctx.rate = rate
        y = x * keep / (1 - rate)
        ctx.save_for_backward(keep)
        return y

    @staticmethod
    def backward(ctx, grad):
        (keep,) = ctx.saved_tensors
        return grad * keep / (1 - ctx.rate), None, None


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    return _Right.apply(x, torch.rand(n, c, 1) >= rate, rate)
