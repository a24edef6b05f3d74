"""Wrong and right code for mask.distinct-samples."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    keep = torch.rand(1, x.shape[1], 1) >= rate  # one mask for the whole batch
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
