"""0 times infinity is NaN. A layer that multiplies by its mask lets Inf and NaN pass through dropped channels.

Covers: Inputs with Inf and NaN are compared with a finite call that has the same seed. A layer whose masks no seed
repeats is skipped.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)  # 0 * inf is NaN


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return torch.where(keep, x / (1 - rate), 0)
