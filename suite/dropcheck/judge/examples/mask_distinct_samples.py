"""Samples that share a mask give correlated gradients. The batch then averages out less noise.

Covers: Rows are compared at every distance in calls of one width. Stretches of decisions are compared at any
offset: at rate .5 a repeated stretch of about 950 decisions is found.
"""

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
