"""Repeating a run with other seeds measures its variance. Seeds that share masks underestimate it.

Covers: Streams of different seeds, at any offset. It is skipped while `seed.reproducible` fails.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.calls = 0

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        self.calls += 1  # seed 1, call 2 is seed 2, call 1
        generator = torch.Generator().manual_seed(torch.initial_seed() + self.calls)
        keep = torch.rand(n, c, 1, generator=generator) >= self.p
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
