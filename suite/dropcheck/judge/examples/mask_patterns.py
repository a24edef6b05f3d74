"""Wrong and right code for mask.patterns."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    numbers = torch.rand(n, c, 1)
    most = c // 3 * 3  # the third of three channels follows from the other two
    numbers[:, 2:most:3] = (numbers[:, 0:most:3] + numbers[:, 1:most:3]) % 1
    return x * (numbers >= rate) / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
