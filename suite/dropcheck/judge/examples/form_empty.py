"""Filters and masks sometimes leave an empty batch. A layer should return an empty result or reject the input
clearly.

Covers: No samples, no channels and no positions, in all dtypes. A rejection passes; a crash fails.
"""

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
