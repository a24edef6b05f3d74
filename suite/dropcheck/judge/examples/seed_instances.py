"""A model has many dropout layers. Layers that share masks drop the same channels at every depth.

Covers: Two layers of one class, called in turn. What others draw after a layer
from the global streams of the framework, NumPy and Python. Blocks that overlap are skipped.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.generator = torch.Generator().manual_seed(0)  # the same for every layer

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        keep = torch.rand(n, c, 1, generator=self.generator) >= self.p
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
