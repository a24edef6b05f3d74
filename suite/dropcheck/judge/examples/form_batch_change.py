"""The last batch of an epoch is smaller, and sequences differ in length. A layer that keeps a buffer of the first
shape crashes or reuses stale masks.

Covers: Numbers of rows, widths and lengths change. A layer that is built for one width may reject another.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.numbers = None

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        if self.numbers is None:
            self.numbers = torch.empty(n, c, 1)  # the size of the first batch
        keep = self.numbers.uniform_() >= self.p
        return x * keep / (1 - self.p)


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
