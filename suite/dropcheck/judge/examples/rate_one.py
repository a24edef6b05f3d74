"""Wrong and right code for rate.one."""

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
