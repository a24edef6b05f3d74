"""Experiments reseed between runs. A mask that survives reseeding links them.

Covers: All dtypes, after training calls of one shape. In the first dtype also after calls of other shapes and after
inference.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.blocks = {}

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        block = self.blocks.setdefault((n, c), [])
        if not block:
            block.extend(torch.rand(16, n, c, 1))  # drawn in advance: reseeding does not clear it
        return x * (block.pop() >= self.p) / (1 - self.p)


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
