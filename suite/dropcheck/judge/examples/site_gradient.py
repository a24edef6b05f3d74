"""Wrong and right code for site.gradient."""

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
