"""Spatial dropout drops a channel as a whole. Separate decisions for each position are plain dropout, which
regularises correlated positions less.

Covers: Every output with at least two positions that share a decision, and every way of seeding. This check is
exact.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    keep = torch.rand(x.shape) >= rate  # one number for each element
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate  # one number for each channel
    return x * keep / (1 - rate)
