"""Channels that tend to drop together, or to avoid each other, change the effective strength of the dropout.

Covers: Every way of seeding, rates .05 to .95. Every pair of channels within the limits of the profile.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    numbers = torch.rand(n, c, 1)
    reuse = torch.rand(n, c, 1) < 0.3
    numbers = torch.where(reuse, numbers.roll(1, dims=1), numbers)  # some from the neighbour
    return x * (numbers >= rate) / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
