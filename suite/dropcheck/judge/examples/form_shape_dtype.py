"""Wrong and right code for form.shape-dtype."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = (torch.rand(n, c, 1) >= rate).float()  # float32: a float16 input becomes float32
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = (torch.rand(n, c, 1) >= rate).to(x.dtype)
    return x * keep / (1 - rate)
