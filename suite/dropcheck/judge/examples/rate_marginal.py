"""A wrong rate changes how strongly the network is regularised. The scale is then wrong as well.

Covers: Fixed rates from .001 to .9, and some drawn at random. Many seeds, and each of the first calls by itself.
`standard` adds .75, .99 and 1e-4. At twelve rates of daily use, errors above about 2 percentage points are
detected. In each case of 64 or more calls: whether the rate rises or falls with the number of calls of one layer.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) < rate  # keeps with probability rate
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
