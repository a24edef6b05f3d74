"""Wrong and right code for mask.distinct-channels."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    numbers = torch.rand(n, -(-c // 4), 1).repeat_interleave(4, dim=1)  # one for four channels
    keep = numbers[:, :c] >= rate
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
