"""Wrong and right code for mask.distinct-calls."""

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
