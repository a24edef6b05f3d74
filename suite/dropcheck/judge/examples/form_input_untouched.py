"""A layer that writes into its input corrupts residual connections. A reused output buffer corrupts earlier
results.

Covers: Rates 0, .3 and 1, recorded and plain inputs, and inference after training.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x.mul_(keep).div_(1 - rate)  # changes the caller's tensor


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
