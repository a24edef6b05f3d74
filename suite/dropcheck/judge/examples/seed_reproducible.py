"""Without reproducible masks no run can be repeated, and no fault can be found again.

Covers: Each call is compared with the same call after the same seed, in this process and in a fresh one. In the
mode `ranks`, replicas with one seed must agree.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.generator = torch.Generator()
        self.generator.seed()  # manual_seed does not reach it

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
