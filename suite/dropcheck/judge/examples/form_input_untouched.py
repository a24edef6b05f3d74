"""Wrong and right code for form.input-untouched."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x.mul_(keep).div_(1 - rate)  # changes the caller's tensor


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
