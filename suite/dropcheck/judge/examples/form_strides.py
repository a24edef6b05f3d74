"""Slices and transposed tensors are common in models. A layer that writes through the wrong strides drops other
elements than it reports.

Covers: One shape at rate .3, two calls each. A contiguous call with the same seed is the control. A rejection with
a clear exception passes; a crash fails.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, length = x.shape
    keep = torch.rand(n, c, 1) >= rate
    flat = torch.as_strided(x, (n, c, length), (c * length, length, 1))  # as if x were contiguous
    return flat * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
