"""Wrong and right code for mode.inference."""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return torch.nn.functional.dropout1d(x, self.p)  # training=True is the default


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return torch.nn.functional.dropout1d(x, self.p, training=self.training)
