"""Pairs can be independent while groups are not. Vectorised generators fail in groups of four or eight.

Covers: Groups of three, four and eight channels, at a list of distances.
"""

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
