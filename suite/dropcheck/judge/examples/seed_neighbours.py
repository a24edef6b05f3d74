"""People use seeds 0, 1, 2. Simple generators give related streams for neighbouring seeds.

Covers: Seeds that differ by one or by one bit. Call 2 of a seed and call 1 of the next seed. Every position by
itself, too.
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
        self.calls += 1
        start = torch.initial_seed() % 1000 / 1000  # neighbouring seeds start close together
        numbers = (start + 0.618034 * torch.arange(self.calls, self.calls + n * c)) % 1
        keep = numbers.reshape(n, c, 1) >= self.p
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
