"""Wrong and right code for rate.rejects-invalid."""

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
