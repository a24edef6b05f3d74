"""Wrong and right code for form.nonfinite."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)  # 0 * inf is NaN


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return torch.where(keep, x / (1 - rate), 0)
