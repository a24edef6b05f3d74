"""A generator that is restarted or advanced wrongly gives masks that resemble earlier ones.

Covers: Calls at a list of distances, and single channels at every distance. Single positions of neighbouring calls,
and single pairs among the first million decisions. Any other distance among the first 32,768 decisions of a case,
where a correlation of .2 is seen.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.last = None

    def forward(self, x):
        if not self.training:
            return x
        n, c, _ = x.shape
        numbers = torch.rand(n, c, 1)
        if self.last is not None and self.last.shape == numbers.shape:
            numbers = torch.where(torch.rand(n, c, 1) < 0.3, self.last, numbers)  # some from the last call
        self.last = numbers
        return x * (numbers >= self.p) / (1 - self.p)


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
