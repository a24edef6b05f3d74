"""Kernels choose another path for other sizes and layouts. Each path must drop at the same rate.

Covers: The shapes of the plan, recorded and plain inputs, and layouts. It is inconclusive if the detection limit is
above 25 percentage points.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    threshold = rate if c % 8 == 0 else 0.9 * rate  # another code path for odd sizes
    keep = torch.rand(n, c, 1) >= threshold
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
