"""Wrong and right code for mode.toggle."""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            self.p = 0.0  # stays 0 when training goes on
        n, c, _ = x.shape
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
        keep = torch.rand(n, c, 1) >= self.p
        return x * keep / (1 - self.p)
