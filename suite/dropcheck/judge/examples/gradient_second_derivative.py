"""Gradient penalties and second-order methods differentiate the gradient again.

Covers: The second derivative, with the same drop decisions.
"""

import torch


class _Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, keep, rate):
        ctx.rate = rate
        y = x * keep / (1 - rate)
        ctx.save_for_backward(keep)
        return y

    @staticmethod
    def backward(ctx, grad):
        (keep,) = ctx.saved_tensors
        return grad.detach() * keep / (1 - ctx.rate), None, None  # cannot be differentiated again


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
