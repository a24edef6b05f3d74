"""Sums and means send expanded gradients of stride 0. Code that assumes contiguous memory reads the wrong numbers.

Covers: Expanded, transposed and strided cotangents.
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
        rows = grad.view(-1, grad.shape[-1])  # raises for a transposed or expanded gradient
        return (rows * keep.view(-1, 1) / (1 - ctx.rate)).view(grad.shape), None, None


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
