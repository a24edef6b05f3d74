"""Wrong and right code for site.reached."""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.dense = torch.nn.Linear(8, 8)

    def forward(self, x):
        return torch.nn.functional.dropout(self.dense(x), self.p)  # training=True is the default


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.dense = torch.nn.Linear(8, 8)

    def forward(self, x):
        return torch.nn.functional.dropout(self.dense(x), self.p, training=self.training)
