"""Wrong and right code for form.empty."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c = len(x), len(x[0])  # IndexError for an empty batch
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
