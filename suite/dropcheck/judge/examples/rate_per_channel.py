"""Wrong and right code for rate.per-channel."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.ones(n, c, 1, dtype=torch.bool)
    most = c // 4 * 4  # the last channels are forgotten
    keep[:, :most] = torch.rand(n, most, 1) >= rate
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
