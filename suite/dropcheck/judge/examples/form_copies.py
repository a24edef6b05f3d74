"""Frameworks copy layers for averaging, cloning and saving. A copy must drop as the original does.

Covers: `deepcopy`, `pickle`, `state_dict`, `get_config`, `clone_model`, `nnx.clone`, as far as the framework has
them.
"""

import torch


class Wrong(torch.nn.Module):
    rates: dict = {}

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.rates[id(self)] = p  # a copy has another id

    def forward(self, x):
        if not self.training:
            return x
        rate = self.rates.get(id(self), 0.0)
        return torch.nn.functional.dropout1d(x, rate)


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        return torch.nn.functional.dropout1d(x, self.p, training=self.training)
