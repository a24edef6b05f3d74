"""The first or last sample of a batch may be treated differently. Its gradient is then biased.

Covers: Every position of the batch, at rates of at least .01.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    keep[0] = True  # the first sample is never dropped
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
