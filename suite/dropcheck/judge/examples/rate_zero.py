"""Rate 0 switches dropout off. Any change of the output then is a fault.

Covers: Every drop decision, with input values from .5 to 8.
"""

import torch


def wrong(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    numbers = torch.randint(0, 256, (n, c, 1)) / 256
    keep = numbers > rate  # drops at rate 0 where the number is 0
    return x * keep / (1 - rate)


def right(x, rate, training):
    if not training:
        return x
    n, c, _ = x.shape
    numbers = torch.rand(n, c, 1)
    keep = numbers >= rate
    return x * keep / (1 - rate)
