"""A schedule that ends at rate 1 must not produce NaN. 1 / (1 - rate) divides by zero there.

Covers: Output at rate 1: all zeros, and finite. A clear rejection passes; a crash fails.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)  # 0 / 0 is NaN at rate 1


def right(x, rate, training):
    if not training:
        return x
    if rate == 1:
        return torch.zeros_like(x)
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
