"""Errors of vectorised code sit at the edges: the last channels of an odd width have another rate.

Covers: Every channel, at rates of at least .01.
"""

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
