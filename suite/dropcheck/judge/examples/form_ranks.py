"""Wrong and right code for form.ranks."""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    keep = torch.rand(x.shape[0], x.shape[1], *[1] * (x.dim() - 2)) >= rate  # (c, l): drops elements
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    if x.dim() not in (2, 3):
        raise ValueError(f"expected (c, l) or (n, c, l), not {tuple(x.shape)}")
    keep = torch.rand(*x.shape[:-1], 1) >= rate
    return x * keep / (1 - rate)
