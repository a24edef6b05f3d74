"""A home-made checkpoint runs a block twice. If the second run draws another mask, the gradient belongs to another
network.

Covers: PyTorch, Keras, Flax and Equinox models. One backward pass through the model, each dropout layer by itself.
"""

import torch
from torch.utils.checkpoint import checkpoint


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.block = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(p))

    def forward(self, x):  # the recomputed block draws another mask
        return checkpoint(self.block, x, use_reentrant=False, preserve_rng_state=False)


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.block = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(p))

    def forward(self, x):
        return checkpoint(self.block, x, use_reentrant=False)
