"""NaN in one gradient destroys all weights in one step.

Covers: Rates 0 and 1. A backward pass that raises fails where the forward pass works.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return torch.where(keep, x / (1 - rate), 0)  # at rate 1 the gradient is 0 / 0


def right(x, rate, training):
    if not training:
        return x
    if rate == 1:
        return x * 0
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return torch.where(keep, x / (1 - rate), 0)
