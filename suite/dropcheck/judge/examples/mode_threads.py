"""Servers and data pipelines call one layer from several threads. State without protection then gives two threads
one mask.

Covers: Two threads call one layer at once. Outputs and masks of both are tested.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.keep = None

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        self.keep = torch.rand(n, c, 1) >= self.p  # another thread may replace it
        return x * self.keep / (1 - self.p)


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        keep = torch.rand(n, c, 1) >= self.p
        return x * keep / (1 - self.p)
