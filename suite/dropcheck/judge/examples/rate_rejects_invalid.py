"""A rate of 1.5 or -0.1 is a typing error, and NaN is a fault upstream. Accepting them hides it.

Covers: Rates -0.1, 1.5 and NaN. Infinity and 1 + 1e-7 are not tested. A crash is not a rejection.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not 0 <= rate <= 1:  # NaN, too
        raise ValueError(f"rate must lie in [0, 1], not {rate}")
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
