"""A mask that repeats trains the same sub-network again and again. A frozen mask removes channels for good.

Covers: Repeated rows, and repeated stretches at any offset. One layer is called 12,000 times (1500 times where
calls are slow, 68,000 in `standard`). Calls of different widths are not compared with each other.
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
        if self.keep is None or self.keep.shape != (n, c, 1):
            self.keep = torch.rand(n, c, 1) >= self.p  # drawn once
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
