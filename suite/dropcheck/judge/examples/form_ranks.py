"""Some layers accept several ranks and treat each differently. Then a batch of images may be read as one image.

Covers: In the first dtype: which elements drop together, kept values, the share of drops, whether two calls differ,
and inference. Independence is tested only for inputs of the main pattern.
"""

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
