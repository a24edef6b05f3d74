"""A systematic error below one rounding step per value still shifts the mean of every activation.

Covers: One call of 64 x 64 decisions for each rate and dtype.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    scale = torch.tensor(1 / (1 - rate), dtype=x.dtype)  # rounded to bfloat16 first
    return x * keep * scale


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return (x.double() * keep / (1 - rate)).to(x.dtype)  # the product is rounded once
