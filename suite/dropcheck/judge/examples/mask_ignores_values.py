"""A mask that follows the input biases training towards small or large values.

Covers: Sign and magnitude, decision by decision. Fourteen kinds of input: zero channels, padding, output of ReLU,
equal samples, constants, one sign, and more. First dtype, one shape.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    threshold = rate * torch.where(x[:, :, :1] > 0, 1.2, 0.8)  # drops positive values more often
    keep = torch.rand(n, c, 1) >= threshold
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
