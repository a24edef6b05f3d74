"""Dependence between samples correlates their gradients, as a shared mask does, only less.

Covers: Samples at a list of distances, single channels at every distance, and neighbouring samples. Any other
distance among the first 32,768 decisions of a case, where a correlation of .2 is seen. Dependence whose sign
changes from call to call is not tested.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    numbers = torch.rand(n, c, 1)
    reuse = torch.rand(n, c, 1) < 0.3
    numbers = torch.where(reuse, numbers.roll(1, dims=0), numbers)  # some from the sample before
    return x * (numbers >= rate) / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    keep = torch.rand(n, c, 1) >= rate
    return x * keep / (1 - rate)
