"""Frameworks have global settings for determinism, precision and compilation. A layer must be right under each, and
must not change them.

Covers: The settings of each framework, one at a time. The report lists them.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        torch.set_default_dtype(x.dtype)  # stays changed after the call
        keep = torch.rand(n, c, 1) >= self.p
        return x * keep / (1 - self.p)


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        keep = torch.rand(n, c, 1, dtype=torch.float32) >= self.p
        return x * keep / (1 - self.p)
