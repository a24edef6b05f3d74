"""Kept values are multiplied by 1 / (1 - rate), so that the mean stays. Without it, training and inference see
different activations.

Covers: Every kept value, from tiny to huge, in all dtypes and every way of seeding. The limit is the rounding of
the dtype. Subnormal numbers are not tested.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep  # without 1 / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
