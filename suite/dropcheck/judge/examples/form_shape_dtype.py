"""Code after the layer relies on the shape and the dtype of its input. A silent change from float16 to float32
doubles memory; a changed shape breaks the next layer.

Covers: Training and inference, all dtypes, rates 0, .3 and 1. Inputs whose gradient is recorded, in all dtypes and
modes. Every output whose drop decisions are counted.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = (torch.rand(n, c, 1) >= rate).float()  # float32: a float16 input becomes float32
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = (torch.rand(n, c, 1) >= rate).to(x.dtype)
    return x * keep / (1 - rate)
