"""Some layers drop exactly the same number of channels each time. That is sampling without replacement, not
dropout.

Covers: The number of dropped channels of each row. Rows that keep or drop every channel are counted exactly.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    order = torch.rand(n, c, 1).argsort(dim=1).argsort(dim=1)
    keep = order >= round(rate * c)  # always the same number of channels
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
